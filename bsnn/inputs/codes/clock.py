"""Times of spikes onto the clock of a model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from bsnn.equations import time_rules
from bsnn.outside import fixed
from bsnn.spikes import Spikes

if TYPE_CHECKING:
    from bsnn.model import Model


def count_steps(model: Model) -> int:
    """Return the number of time steps of a sample."""
    return time_rules.count_steps(model.duration_seconds, model.dt_seconds)


def require_step(model: Model, code: str):
    """Raise ValueError where time is continuous."""
    if model.dt_seconds == 0:
        raise ValueError(
            f"'model' must have a time step for the code {code}, got continuous time."
        )


def onto_clock(
    sample: np.ndarray,
    time: np.ndarray,
    neuron: np.ndarray,
    n_samples: int,
    model: Model,
    *,
    merge: bool | None,
) -> Spikes:
    """Return spikes at some times, in any order, before the end of the model.

    Parameters
    ----------
    sample, neuron : ndarray, shape (n_events,), int64
    time : ndarray, shape (n_events,), float64
        Seconds.
    n_samples : int
    model : Model
    merge : bool or None
        Whether those of one neuron in one time step count as one, False refuses them;
        None: they do, with a warning.

    Returns
    -------
    spikes : Spikes
        With `step` only where the model has a grid, with `time` only where its time is
        continuous.

    Raises
    ------
    ValueError
        If some meet, and `merge` is False.
    """
    dt = model.dt_seconds
    if dt == 0:
        time = np.minimum(time, np.nextafter(model.duration_seconds, 0))
        order = np.lexsort((neuron, time, sample))
        sample, when, neuron = sample[order], time[order], neuron[order]
        same = (np.diff(sample) == 0) & (np.diff(when) == 0) & (np.diff(neuron) == 0)
        kept = np.concatenate([[True], ~same])[: len(sample)]
        sample, when, neuron = sample[kept], when[kept], neuron[kept]
    else:
        n_steps = count_steps(model)
        # What comes just before the end may round to the step after it.
        step = np.minimum(time_rules.bin_index(time, dt), n_steps - 1)
        key = np.sort((sample * n_steps + step) * model.n_inputs + neuron)
        key = key[np.concatenate([[True], np.diff(key) > 0])[: len(key)]]
        key, neuron = np.divmod(key, model.n_inputs)
        sample, when = np.divmod(key, n_steps)
    _tell_of_merged(len(time) - len(when), len(time), merge, dt)
    return in_order(sample, when, neuron, n_samples, model)


def in_order(sample, when, neuron, n_samples, model) -> Spikes:
    """Return spikes in order; `when` are steps, or times where time is continuous."""
    return Spikes.known(
        neuron=fixed(neuron.astype(np.int32)),
        offset=fixed(np.searchsorted(sample, np.arange(n_samples + 1))),
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
        **{"time" if model.dt_seconds == 0 else "step": fixed(when)},
    )


def of_grid(fired: np.ndarray, model: Model) -> Spikes:
    """Return the spikes of an array of bool, shape (n_samples, n_steps, n_neurons)."""
    sample, step, neuron = np.nonzero(fired)
    return in_order(sample, step, neuron, len(fired), model)


def _tell_of_merged(n_merged, n_events, merge, dt):
    if not n_merged or merge:
        return
    if merge is not None:
        raise ValueError(
            f"'events' must not share a time step of {dt} s with another of their "
            f"input, which fires once in it, got {n_merged} of {n_events} that do; "
            "choose a smaller time step, or merge=True."
        )
    # Issued as from this line and always the same, so that Python shows it once.
    warnings.warn(
        "events that share a time step with another of their input, which fires once "
        "in it, count as one; say merge=True if that is meant.",
        stacklevel=1,
    )
