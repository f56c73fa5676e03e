"""One file for each resource of REST; what they share stands in `resource.py`."""
