"""The commands of `apsis`, one file each."""
