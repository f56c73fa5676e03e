"""What a host keeps on its disk: journals, archive and run folders, and what the supervisor remembers by itself.

Also how much room there is for more.
"""
