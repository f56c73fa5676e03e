"""The output store: keeps every byte that runs print, and hands out any range or line of it."""
