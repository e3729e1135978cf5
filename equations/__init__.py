"""Neuron models as Brian2 equations, with their closed forms, and the time rules."""

from .linear import ExponentialModes
from .models.cuba_lif import CubaLIF

__all__ = ["CubaLIF", "ExponentialModes"]
