"""Recorded events as spikes: each onto the clock of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bsnn.equations.units import as_int, as_positive
from bsnn.inputs.events import Events
from bsnn.spikes import Spikes

from .clock import onto_clock

if TYPE_CHECKING:
    from bsnn.model import Model


def encode_events(
    events: Events,
    model: Model,
    *,
    crop: bool = False,
    time_scale: float = 1.0,
    pool: int = 1,
    merge: bool | None = None,
) -> Spikes:
    """Let input `channel` spike at `time`, in the time steps of the model.

    A sample that is shorter than the model's duration ends in silence.

    Parameters
    ----------
    events : Events
    model : Model
        With an input for each channel, or for each `pool` of them.
    crop : bool
        Whether events at or after the end of the model's duration are left out; if not,
        they are refused.
    time_scale : float
        What the times are multiplied by; 0.5 plays twice as fast.
    pool : int
        How many neighbouring channels make one input.
    merge : bool, optional
        Whether events of one input in one time step, where a neuron fires once at most,
        count as one; False refuses them. Unless given, they do, and a warning tells how
        many.

    Returns
    -------
    spikes : Spikes
        With `step` only where the model has a grid, with `time` only where its time is
        continuous.

    Raises
    ------
    TypeError
        If `events` are none.
    ValueError
        If the channels do not fit the model, or an event comes too late or meets
        another, and that is not allowed.

    Warns
    -----
    UserWarning
        Once, if events were merged and nothing was said about it.
    """
    if not isinstance(events, Events):
        raise TypeError(
            f"'events' must be Events, got {type(events).__name__}; Events.from_pairs "
            "makes them of (t, i), and images and series need another code."
        )
    neuron = _inputs_of(events, model, as_int(pool, "pool", least=1))
    time = events.time * as_positive(time_scale, "time_scale")
    time, neuron, sample = _in_time(time, neuron, events, model, crop)
    return onto_clock(sample, time, neuron, len(events), model, merge=merge)


def _inputs_of(events, model, pool):
    n_inputs = -(-events.n_channels // pool)
    if n_inputs != model.n_inputs:
        pooled = f" in pools of {pool}" if pool > 1 else ""
        raise ValueError(
            f"'events' have {events.n_channels} channels{pooled}, which need "
            f"{n_inputs} inputs, but the model has {model.n_inputs}; change it, or "
            "'pool'."
        )
    return events.channel // pool


def _in_time(time, neuron, events, model, crop):
    """Return times, neurons and samples of the events before the model's end."""
    late, sample = time >= model.duration_seconds, events.sample
    if not late.any():
        return time, neuron, sample
    if not crop:
        k = int(late.argmax())
        raise ValueError(
            f"'events' must come before the model's end at {model.duration_seconds} s, "
            f"got {time[k]} s in {events.sample_of(k)}; choose a longer "
            "duration, a 'time_scale', or crop=True to leave later events out."
        )
    return time[~late], neuron[~late], sample[~late]
