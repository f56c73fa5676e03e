"""The commands of `apsisctl`, one file each."""
