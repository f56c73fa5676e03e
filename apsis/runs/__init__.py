"""Runs: their states, what is kept of each, and the core that decides about them."""
