"""Neuron models as Brian2 equations, with their closed forms, and the time rules."""

from .cuba_lif import CubaLIF
from .modes import ExponentialModes

__all__ = ["CubaLIF", "ExponentialModes"]
