"""Spikes from and to the files of others, and our own."""
