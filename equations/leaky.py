r"""Neurons that leak, integrate and fire, recognised by their algebra.

Whatever a neuron calls its variables and however it writes its equations, it may be

    tau_mem dv/dt = v_leak - v + gain tau_mem i      fires where v passes v_threshold
    tau_syn di/dt = -i                               then v = v_reset, or v -= delta_v

or a part of these: without i, which spikes then pass by; without threshold; without
leak, dv/dt = gain i.
"""

from dataclasses import dataclass

import numpy as np
import sympy as sp

from .dimensions import FUNCTIONS, UNITS
from .dynamics import Dynamics
from .statements import derivative, symbol
from .synapse import WEIGHT


@dataclass(frozen=True, kw_only=True)
class Leaky:
    """The parameters of such a neuron in SI units; each a number or one a neuron.

    Parameters
    ----------
    v, i : str
        The neuron's names of the potential, and of the current or None.
    tau_mem : float or ndarray, or None
        Seconds; None without leak.
    tau_syn : float or ndarray, or None
        Seconds; None without a current.
    gain : float or ndarray, or None
        dv/dt for each unit of the current; None without one.
    v_leak : float or ndarray
        Potential at rest; 0 without leak.
    v_threshold : float or ndarray, or None
        None of a neuron that never fires.
    v_reset : float or ndarray, or None
        What a hard reset sets v to; None of another.
    delta_v : float or ndarray, or None
        What a soft reset subtracts from v; None of another.
    """

    v: str
    i: str | None
    tau_mem: float | np.ndarray | None
    tau_syn: float | np.ndarray | None
    gain: float | np.ndarray | None
    v_leak: float | np.ndarray
    v_threshold: float | np.ndarray | None
    v_reset: float | np.ndarray | None
    delta_v: float | np.ndarray | None


def leaky(neuron) -> Leaky:
    """Return a neuron as a `Leaky` one, that it is when it is not refractory.

    Raises
    ------
    ValueError
        If it is another; the message says why, and follows "its neuron ".
    """
    return _Reading(neuron).leaky()


def push_of(synapse):
    """Return what a spike of weight 1, in SI units, adds to the neuron's variables.

    Returns
    -------
    push : dict of str to float or ndarray

    Raises
    ------
    ValueError
        If it is not proportional to the weight; the message says so.
    """
    reading, pushes = _Reading(synapse.neuron), {}
    for name, added in synapse.added.items():
        push = derivative(added, WEIGHT)
        if push.has(symbol(WEIGHT)) or added.subs(symbol(WEIGHT), 0) != 0:
            raise ValueError(
                f"its on_pre {synapse.on_pre!r} adds to {name!r} what is not "
                "proportional to the weight"
            )
        pushes[name] = reading.value(push, f"on_pre of {name!r}")
    return pushes


class _Reading:
    def __init__(self, neuron):
        self.neuron, self.dynamics = neuron, Dynamics(neuron)

    def leaky(self):
        neuron = self.neuron
        if neuron.currents:
            raise ValueError(f"receives the current {next(iter(neuron.currents))!r}")
        if neuron.parsed.stochastic_variables:
            raise ValueError("has noise")
        v, i = self._variables()
        slope, rest = self._rates()
        if i is not None and np.any(self.value(rest[i], f"d{i}/dt")):
            raise ValueError(f"has a current {i!r} that does more than decay")
        tau_mem, v_leak = self._decay(v, slope[v, v], rest[v])
        found = {"tau_syn": None, "gain": None}
        if i is not None:
            found["tau_syn"], _ = self._decay(i, slope[i, i], rest[i])
            found["gain"] = self.value(slope[v, i], f"d{v}/dt")
        if tau_mem is None and (i is not None or np.any(v_leak)):
            raise ValueError(
                f"integrates {v!r} without leak, but not spikes alone; that is none of "
                "the neurons known here"
            )
        threshold = dict.fromkeys(("v_threshold", "v_reset", "delta_v"))
        if neuron.threshold is not None:
            threshold = {"v_threshold": self._threshold(v), **self._reset(v)}
        return Leaky(v=v, i=i, tau_mem=tau_mem, v_leak=v_leak, **found, **threshold)

    def value(self, expression, where):
        """Return an expression of parameters in SI units, as a number or an array."""
        known, expression = {**UNITS, **self.neuron.values}, sp.sympify(expression)
        used = sorted(expression.free_symbols, key=lambda s: s.name)
        unknown = [s.name for s in used if s.name not in known]
        if unknown:
            raise ValueError(f"has {', '.join(unknown)} in its {where}")
        evaluate = sp.lambdify(used, expression, modules=[FUNCTIONS, "numpy"])
        value = np.asarray(evaluate(*(known[s.name] for s in used)), float)
        if not np.isfinite(value).all():
            raise ValueError(f"has no finite {where}")
        return float(value) if value.ndim == 0 else value

    def _variables(self):
        states = self.neuron.states
        if len(states) == 1:
            return states[0], None
        if len(states) != 2:
            raise ValueError(
                f"has {len(states)} variables ({', '.join(states)}), not a potential "
                "and perhaps a current"
            )
        slope, _ = self._rates()
        for v, i in (states, states[::-1]):
            if slope[v, i] != 0 and slope[i, v] == 0:
                return v, i
        raise ValueError(
            f"has no variable among {', '.join(states)} that drives the other"
        )

    def _rates(self):
        """Return d(dx/dt)/dy of all x and y, and dx/dt where all are 0."""
        states = self.neuron.states
        slope, rest = {}, {}
        for x, rate in self.dynamics.rates().items():
            at_zero = rate.subs({symbol(y): 0 for y in states})
            rest[x] = sp.simplify(at_zero)
            for y in states:
                slope[x, y] = sp.simplify(derivative(rate, y))
                changing = {s.name for s in slope[x, y].free_symbols}
                if changing & {*states, "t"}:
                    raise ValueError(f"is not linear: d{x}/dt = {rate}")
        return slope, rest

    def _decay(self, name, slope, rest):
        """Return the time constant and the level that a variable decays to."""
        if slope == 0:
            return None, self.value(rest, f"d{name}/dt")
        tau = self.value(sp.simplify(-1 / slope), f"d{name}/dt")
        if np.any(np.asarray(tau) <= 0):
            raise ValueError(f"has a variable {name!r} that grows by itself")
        return tau, self.value(sp.simplify(-rest / slope), f"d{name}/dt")

    def _threshold(self, v):
        margin = self.dynamics.margin
        slope = self._constant_slope(margin, v, "threshold")
        if np.any(np.asarray(self.value(slope, "threshold")) <= 0):
            raise ValueError(f"fires where {v!r} is below its threshold")
        at_zero = -margin.subs(symbol(v), 0) / slope
        return self.value(sp.simplify(at_zero), "threshold")

    def _reset(self, v):
        final = self.dynamics.after_reset
        for name, value in final.items():
            if name != v and sp.simplify(value - symbol(name)) != 0:
                raise ValueError(f"resets {name!r}, which is not its potential")
        kept = self._constant_slope(final[v], v, "reset")
        level = self.value(sp.simplify(final[v].subs(symbol(v), 0)), "reset")
        if kept == 0:
            return {"v_reset": level, "delta_v": None}
        if kept == 1 and np.all(np.asarray(level) < 0):
            return {"v_reset": None, "delta_v": -level}
        raise ValueError(
            f"has the reset {self.neuron.reset!r}, which neither sets {v!r} nor "
            "subtracts from it"
        )

    def _constant_slope(self, expression, v, what):
        slope = sp.simplify(derivative(expression, v))
        if slope.has(symbol(v)):
            raise ValueError(f"has a {what} that is not linear in {v!r}")
        return slope
