"""What was recorded in some samples, by bsnn or by Brian2, ready to be handed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions

from bsnn.equations import time_rules
from bsnn.equations.dimensions import unit_name
from bsnn.equations.units import in_seconds, positive_seconds
from bsnn.outside import floats, indices, plain_array
from bsnn.recorded import as_spikes, monitor_times
from bsnn.spikes import Spikes


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """A variable of some neurons over all samples.

    Parameters
    ----------
    values : ndarray, shape (n_samples, n_steps, n_traces), float64
        At the start of each step, in SI units.
    neuron : ndarray, shape (n_traces,), int64
    unit : str
        As Brian2 spells it, "volt" or "1".
    dt : float
        Seconds.
    """

    values: np.ndarray
    neuron: np.ndarray
    unit: str
    dt: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Spikes and traces of populations in some samples.

    Parameters
    ----------
    spikes : dict of str to Spikes
        By population.
    traces : dict of (str, str) to Trace
        By population and variable.
    n_samples : int
    duration : float
        Of a sample, in seconds: whole time steps, where there are any.
    labels : ndarray, shape (n_samples,), int64, or None
    """

    spikes: dict[str, Spikes]
    traces: dict[tuple[str, str], Trace]
    n_samples: int
    duration: float
    labels: np.ndarray | None

    def times(self, population: str) -> np.ndarray:
        """Return when spikes were recorded; see `bsnn.recorded.monitor_times`."""
        return monitor_times(self.spikes[population])


def recording_of(
    recorded,
    *,
    duration: Quantity | None = None,
    network=None,
    n_samples: int | None = None,
    n_neurons: int | None = None,
    dt: Quantity | None = None,
    labels=None,
    traces: Sequence = (),
) -> Recording:
    """Return what was recorded, whatever recorded it.

    Parameters
    ----------
    recorded : Spikes, SpikeMonitor, pair (i, t), Activity, or dict of str to these
        By population, as `DerivedNetwork` returns them. A Brian2 monitor has the name
        of its group, what else has none is called "spikes". A monitor, or a pair of
        neurons and times, holds the samples one after another: see `as_spikes`.
    duration : Quantity, optional
        Of a sample; needed unless there is a `network`.
    network : Network, optional
        Whose populations they are: it has the duration, and the units of traces.
    n_samples : int, optional
        In a monitor or a pair; 1 unless given.
    n_neurons, dt : int and Quantity, optional
        Of a pair (i, t), as for `as_spikes`.
    labels : array_like, shape (n_samples,), int, optional
    traces : StateMonitor, or sequence of them
        Brian2's own, of the same samples.

    Raises
    ------
    TypeError
        If something is of another kind.
    ValueError
        If the duration is missing, or something does not fit it or another part.
    """
    if duration is None and network is None:
        raise ValueError(
            "'duration' must be given: what was recorded does not say where a sample "
            "ends."
        )
    given = network.duration if duration is None else duration
    length = positive_seconds(given, "duration")
    parts = dict(recorded) if isinstance(recorded, Mapping) else _named(recorded)
    found, traced, counts = {}, {}, {}
    for name, part in parts.items():
        spikes = _spikes(part, n_samples or 1, length * second, n_neurons, dt)
        if spikes is not None:
            found[name], counts[name] = spikes, spikes.n_samples
        for variable, values in dict(getattr(part, "trace", {})).items():
            trace = _trace(values, network, name, variable, dt, spikes)
            traced[name, variable], counts[name] = trace, len(trace.values)
    if hasattr(traces, "record_variables"):
        traces = [traces]
    for monitor in traces:
        for key, trace in _of_monitor(monitor, n_samples or 1, length).items():
            traced[key], counts[key[0]] = trace, len(trace.values)
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"'recorded' must hold as many samples of each population, got {counts}."
        )
    n_samples = next(iter(counts.values()))
    if labels is not None:
        labels = indices(labels, "labels")
        if labels.shape != (n_samples,):
            raise ValueError(
                f"'labels' must have one for each of {n_samples} samples, got shape "
                f"{labels.shape}."
            )
    steps = {s.dt for s in found.values()} | {t.dt for t in traced.values()}
    ends = [time_rules.count_steps(length, dt) * dt for dt in steps if dt > 0]
    recording = Recording(
        spikes=found,
        traces=traced,
        n_samples=n_samples,
        duration=max(ends, default=length),
        labels=labels,
    )
    for name in found:
        last = recording.times(name).max(initial=0.0)
        if last >= recording.duration:
            raise ValueError(
                f"'recorded' holds a spike of {name!r} at {last} s, but a sample ends "
                f"after {recording.duration} s; 'duration' must be longer."
            )
    return recording


def _named(recorded):
    """Return what was recorded of one population under its name."""
    source = getattr(recorded, "source", None)
    return {getattr(source, "name", "spikes"): recorded}


def _spikes(part, n_samples, duration, n_neurons, dt):
    if hasattr(part, "trace") and part.record is None:  # of an integrator
        return None
    if isinstance(part, (tuple, list)):
        return as_spikes(part, n_samples, duration, n_neurons=n_neurons, dt=dt)
    return as_spikes(part, n_samples, duration)


def _trace(values, network, name, variable, dt, spikes):
    """Return the trace that a network recorded, in SI units unless a Quantity."""
    dimension = values.dim if isinstance(values, Quantity) else DIMENSIONLESS
    if network is not None:
        dt_seconds = network.dt_seconds
        dimension = network.named[name].neuron.dimensions[variable]
    elif dt is not None:
        dt_seconds = in_seconds(dt, "dt")
    elif spikes is not None and spikes.dt > 0:
        dt_seconds = spikes.dt
    else:
        raise ValueError(
            f"'dt' must be given for the trace of {variable!r}, or a 'network'."
        )
    if hasattr(values, "detach"):
        values = values.detach()
    if isinstance(values, Quantity):
        values = np.asarray(values)
    array = floats(plain_array(values, variable), variable)
    if array.ndim != 3:
        raise ValueError(
            f"the trace of {variable!r} must have shape (n_samples, n_steps, "
            f"n_neurons), got {array.shape}."
        )
    neuron = np.arange(array.shape[2])
    return Trace(values=array, neuron=neuron, unit=_unit(dimension), dt=dt_seconds)


def _of_monitor(monitor, n_samples, length):
    """Return the traces of a Brian2 ``StateMonitor``, by population and variable."""
    if not all(hasattr(monitor, n) for n in ("record_variables", "t", "record")):
        raise TypeError(
            f"'traces' must be StateMonitor of Brian2, got {type(monitor).__name__}."
        )
    dt, name = in_seconds(monitor.clock.dt, "dt"), monitor.source.name
    n_steps, found = time_rules.count_steps(length, dt), {}
    for variable in monitor.record_variables:
        values = getattr(monitor, variable)
        array = np.asarray(values, float).T
        if len(array) != n_samples * n_steps:
            raise ValueError(
                f"'traces' hold {len(array)} steps of {variable!r} of {name!r}, not "
                f"{n_samples} samples of {n_steps} steps."
            )
        found[name, variable] = Trace(
            values=array.reshape(n_samples, n_steps, -1),
            neuron=np.asarray(monitor.record, np.int64),
            unit=_unit(get_dimensions(values)),
            dt=dt,
        )
    return found


def _unit(dimension):
    return "1" if dimension is DIMENSIONLESS else unit_name(dimension)
