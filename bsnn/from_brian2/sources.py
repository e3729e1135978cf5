"""Spikes of a ``SpikeGeneratorGroup``, and those that a ``PoissonGroup`` may draw."""

import numpy as np
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.core.functions import Function
from brian2.core.variables import Subexpression
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.parsing.rendering import NumpyNodeRenderer
from brian2.units import hertz
from brian2.utils.stringtools import get_identifiers

from bsnn.spikes import Spikes

from .names import looked_up, plain_text
from .refusal import naming, refusal

_SHIFT = 1e-3  # of dt, by which Brian2 moves a spike before it finds its step


def generated(group, n_steps):
    """Return the spikes of a ``SpikeGeneratorGroup`` as one sample.

    Parameters
    ----------
    group : SpikeGeneratorGroup
    n_steps : int

    Returns
    -------
    Spikes
        Those of the first `n_steps`, repeated with the group's period.
    """
    dt = group.clock.dt_
    neuron = np.asarray(group.variables["neuron_index"].get_value())
    times = np.asarray(group.variables["spike_time"].get_value())
    step = ((times + _SHIFT * dt) / dt).astype(np.int64)
    period = round(float(group.variables["period"].get_value().item()) / dt)
    n_periods = -(-n_steps // period) if period else 1
    step = (np.arange(n_periods)[:, None] * period + step).ravel()
    neuron = np.tile(neuron, n_periods)
    within = step < n_steps
    with naming(group):
        return Spikes.from_events(
            sample=np.zeros(within.sum(), int),
            neuron=neuron[within],
            step=step[within],
            n_samples=1,
            n_neurons=int(group.N),
            dt=dt,
        )


def drawn(group, rates, n_samples, rng):
    """Return spikes as a ``PoissonGroup`` draws them.

    Parameters
    ----------
    group : PoissonGroup
    rates : ndarray, shape (n_steps, n_neurons)
        In Hz.
    n_samples : int
    rng : Generator

    Returns
    -------
    Spikes
    """
    chance = rates * group.clock.dt_
    fired = np.stack([rng.random(rates.shape) < chance for _ in range(n_samples)])
    return Spikes.from_dense(fired, dt=group.clock.dt_)


def rates_of(group, namespace, n_steps):
    """Return the rates of a ``PoissonGroup`` in each step.

    Returns
    -------
    rates : ndarray, shape (n_steps, n_neurons)
        In Hz.

    Raises
    ------
    ValueError
        If they are random themselves, or no rates.
    """
    shape = n_steps, int(group.N)
    variable = group.variables["rates"]
    if not isinstance(variable, Subexpression):
        return np.broadcast_to(variable.get_value(), shape)
    text = plain_text(variable.expr)
    names = get_identifiers(text)
    found = looked_up(group, names, namespace)
    with naming(group):
        if parse_expression_dimensions(text, found) != hertz.dim:
            raise ValueError(f"'rates' = {text!r} are not in Hz.")
    known = {"t": np.arange(n_steps)[:, None] * group.clock.dt_}
    known |= {"dt": group.clock.dt_, "i": np.arange(shape[1])[None, :], "N": shape[1]}
    known |= {n: _for_numpy(group, f) for n, f in found.items() if n not in known}
    code = NumpyNodeRenderer().render_expr(text)
    values = eval(code, {"__builtins__": {}, "logical_not": np.logical_not}, known)
    return np.broadcast_to(np.asarray(values, float), shape)


def _for_numpy(group, found):
    if not isinstance(found, Function):
        return found.get_value()
    if not found.stateless:
        raise refusal(
            group,
            "its rates are themselves drawn anew in each step; draw them before, as an "
            "array.",
        )
    return found.implementations[NumpyCodeObject].get_code(group)
