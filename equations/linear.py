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
import sympy as sp

from .dimensions import UNITS
from .dynamics import Dynamics
from .statements import derivative, symbol

_FLOWS = ("exact", "linear", "independent")  # methods that follow linear equations
_NONE = 1e-12  # an amplitude this small beside the others is rounding


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


def modes_of(neuron, synapse) -> ExponentialModes | None:
    """Return the modes of a neuron's margin to threshold, or None if it has none.

    Asked of the algebra: its rates are affine in the states, with real, negative and
    different eigenvalues, the same for all neurons; so is the margin, which no arrival
    makes jump; synapse and reset add what does not depend on the states; refractory
    neurons move as others do.

    Parameters
    ----------
    neuron : Neuron
    synapse : Synapse
        Onto it. A weight of 1, in SI units, is what `synaptic` responds to; nothing
        limits the units of `synaptic` to seconds then.
    """
    dynamics = Dynamics(neuron)
    if neuron.threshold is None or neuron.method not in _FLOWS or dynamics.can_freeze:
        return None
    states = [symbol(name) for name in neuron.states]
    jumps = [dynamics.after_reset[n] - symbol(n) for n in neuron.states]
    pushes = [synapse.added.get(name, sp.Integer(0)) for name in neuron.states]
    try:
        margin = [derivative(dynamics.margin, name) for name in neuron.states]
        rates = [
            [derivative(rate, name) for name in neuron.states]
            for rate in dynamics.rates().values()
        ]
        push = [derivative(push, "w") for push in pushes]
    except ValueError:  # a threshold that is no comparison, an unknown derivative
        return None
    numbers = [_number(x, neuron) for x in (margin, jumps, push, *rates)]
    if any(found is None for found in numbers):
        return None
    if any(p.subs(symbol("w"), 0) != 0 for p in pushes) or not states:
        return None
    margin, jump, push, *rates = numbers
    rate, shape = np.linalg.eig(np.array(rates))
    if rate.imag.any() or (rate.real >= 0).any():
        return None
    rate, shape = rate.real, shape.real  # which newer numpy always makes complex
    if np.linalg.cond(shape) > 1 / _NONE:
        return None
    seen = margin @ shape
    synaptic, reset = (seen * np.linalg.solve(shape, x) for x in (push, jump))
    if abs(synaptic.sum()) > _NONE * np.abs(synaptic).max():
        return None  # an arrival can cross by itself, which the kernel leaves out
    kept = np.zeros(len(rate), bool)
    for amplitude in (synaptic, reset):
        kept |= np.abs(amplitude) > _NONE * np.abs(amplitude).max()
    return ExponentialModes(
        tau=tuple((-1 / rate[kept]).tolist()),
        synaptic=tuple(synaptic[kept].tolist()),
        reset=tuple(reset[kept].tolist()),
    )


def _number(expressions, neuron):
    """Return the values of expressions of shared parameters, or None."""
    shared = {n: v for n, v in neuron.values.items() if neuron.is_shared(n)}
    values = {symbol(n): float(v) for n, v in (UNITS | shared).items()}
    found = [sp.sympify(sp.sympify(x).xreplace(values)) for x in expressions]
    if any(x.free_symbols or not x.is_number for x in found):
        return None
    return np.array([float(x) for x in found])
