"""A real installation under a storm of kills, and the check that nothing was lost, started twice or told wrongly."""
