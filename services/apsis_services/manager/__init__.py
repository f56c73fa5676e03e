"""The manager: starts the services, restarts one that crashes, and stops them; it runs nothing else."""
