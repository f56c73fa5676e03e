"""What a run prints on its host until the store has it: reading its files, sending them, giving up what has no room.

A folder whose bytes are all kept elsewhere is taken away here too.
"""
