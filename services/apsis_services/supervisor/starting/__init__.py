"""Having a program started: its request, its whole environment, and the files of the host that this is made from."""
