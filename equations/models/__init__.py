"""Neurons that are ready to use: a page each."""
