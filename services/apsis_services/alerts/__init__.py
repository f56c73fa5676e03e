"""Alerts: tells people and other programs how runs have ended, until they have been told."""
