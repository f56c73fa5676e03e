"""What processes say to each other about runs and jobs: typed bodies, carried by the bus as JSON.

`docs/bus.md` is the authoritative page of these messages; a field stands there before it stands here.
Each body is a frozen, keyword-only struct whose docstring names both ends.
"""
