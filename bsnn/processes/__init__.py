"""Processes beside this one: how they start, what they share, when they end."""
