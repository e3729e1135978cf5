r"""The response of a linear neuron as a sum of exponential modes.

Between spikes the equations are linear, so the potential is

    v(t) = sum_i w_i eps(t - T_i) + sum_z rho(t - T_z),
    eps(s) = sum_k synaptic_k exp(-s/tau_k),   rho(s) = sum_k reset_k exp(-s/tau_k),

with arrivals T_i of weight w_i and own earlier resets T_z. The spike-time gradient
needs nothing else of a model.
"""

import math
from dataclasses import dataclass

import numpy as np


def is_quadratic(tau_mem, tau_syn):
    """Return whether tau_mem = 2 tau_syn, so that v is quadratic in exp(-t/tau_mem)."""
    return math.isclose(tau_mem, 2 * tau_syn, rel_tol=1e-12)


@dataclass(frozen=True, kw_only=True)
class ExponentialModes:
    """Time constants and amplitudes of the K modes.

    Parameters
    ----------
    tau : tuple of K float
        Time constants in seconds.
    synaptic : tuple of K float
        Amplitudes in seconds of the response to a spike of weight 1 Hz.
    reset : tuple of K float
        Dimensionless amplitudes of the response to an own reset.
    """

    tau: tuple[float, ...]
    synaptic: tuple[float, ...]
    reset: tuple[float, ...]

    def response(self, delay):
        """Return eps(delay) in seconds; `delay` is an array in seconds, >= 0."""
        return self._sum(self.synaptic, delay)

    def response_slope(self, delay):
        """Return d eps/d delay (dimensionless) at `delay` in seconds, >= 0."""
        rates = [-c / tau for c, tau in zip(self.synaptic, self.tau, strict=True)]
        return self._sum(rates, delay)

    def reset_response(self, delay):
        """Return rho(delay), dimensionless; `delay` is an array in seconds, >= 0."""
        return self._sum(self.reset, delay)

    def _sum(self, amplitudes, delay):
        delay = np.asarray(delay, dtype=float)
        terms = zip(amplitudes, self.tau, strict=True)
        return sum(c * np.exp(-delay / tau) for c, tau in terms)
