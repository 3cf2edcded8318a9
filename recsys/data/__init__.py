"""Logs and catalogue made trustworthy: read, checked, split and made into histories."""
