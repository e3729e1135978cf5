"""Neuron models as Brian2 equations, with their closed forms, and the time rules."""

from bsnn.equations.models.cuba_lif import CubaLIF

from .linear import ExponentialModes

__all__ = ["CubaLIF", "ExponentialModes"]
