"""Recorded spikes and traces as Neo's objects, and back.

A `Block` has a `Segment` for each sample; a segment has a `SpikeTrain` for each neuron
and an `AnalogSignal` for each recorded variable of a population. Times are seconds
since the sample began. A spike on a time grid has the time that a ``SpikeMonitor``
gives it: it takes effect one time step later, which is the annotation ``dt`` of its
train.

So elephant's measures apply (``elephant.statistics.isi``, ``cv``,
``elephant.spike_train_dissimilarity.van_rossum_distance``), and so do all formats that
Neo writes.

References
----------
Garcia et al. 2014, doi:10.3389/fninf.2014.00010 (Neo).
"""

from __future__ import annotations

import numpy as np

from bsnn.extras import needed
from bsnn.inputs.neo_trains import as_pairs
from bsnn.outside import indices
from bsnn.spikes import Spikes

from .recording import Recording, Trace, recording_of

# What units are called there, where Brian2 spells them otherwise.
_UNITS = {"1": "dimensionless"}


def to_neo(recorded, *, name: str = "bsnn", **options):
    """Return what was recorded as a ``neo.Block``.

    Parameters
    ----------
    recorded : Spikes, SpikeMonitor, pair (i, t), Activity, or dict of str to these
        By population; see `bsnn.interchange.recording.recording_of`.
    name : str
        Of the block.
    **options
        `duration` of a sample, or the `network`; `labels`, `traces` of Brian2's
        ``StateMonitor``, and what else `recording_of` takes.

    Returns
    -------
    block : neo.Block
        Its segments have the annotations ``sample`` and ``label``, its trains, too, and
        ``population``, ``neuron`` and ``dt``.

    Raises
    ------
    BackendUnavailable
        If Neo is not installed.
    TypeError, ValueError
        As `recording_of`.
    """
    neo, pq = _libraries()
    recording = recording_of(recorded, **options)
    trains = {n: _times_of_neurons(recording, n) for n in recording.spikes}
    block = neo.Block(name=name)
    for m in range(recording.n_samples):
        common = {"sample": m}
        if recording.labels is not None:
            common["label"] = int(recording.labels[m])
        segment = neo.Segment(name=f"sample {m}", index=m, **common)
        for population, times in trains.items():
            dt = recording.spikes[population].dt
            for neuron, train in enumerate(times[m]):
                segment.spiketrains.append(
                    neo.SpikeTrain(
                        train,
                        units="s",
                        t_start=0.0,
                        t_stop=recording.duration,
                        name=f"{population} {neuron}",
                        population=population,
                        neuron=neuron,
                        dt=dt * pq.s,
                        **common,
                    )
                )
        for (population, variable), trace in recording.traces.items():
            segment.analogsignals.append(
                neo.AnalogSignal(
                    trace.values[m],
                    units=_UNITS.get(trace.unit, trace.unit),
                    sampling_period=trace.dt * pq.s,
                    t_start=0 * pq.s,
                    name=f"{population}.{variable}",
                    population=population,
                    variable=variable,
                    unit=trace.unit,
                    array_annotations={"neuron": trace.neuron},
                    **common,
                )
            )
        block.segments.append(segment)
    return block


def from_neo(block, *, dt=None) -> Recording:
    """Return the spikes and traces of a ``neo.Block``.

    Parameters
    ----------
    block : neo.Block, or sequence of neo.Segment
        Of `to_neo`, or another's: without annotations, the trains of a segment are the
        neurons of one population, "spikes", in their order.
    dt : Quantity, optional
        Time step of the spikes; what the trains say unless given, and continuous time
        if they say nothing.

    Returns
    -------
    recording : Recording
        Its `spikes` by population, `traces` by population and variable, and `labels`
        if all segments have one.

    Raises
    ------
    TypeError
        If a segment holds anything else.
    ValueError
        If samples have different neurons, or trains of a sample different starts.
    """
    segments = list(getattr(block, "segments", block))
    if not segments:
        raise ValueError("'block' has no segments; each is a sample.")
    populations = _sorted_trains(segments)
    spikes, longest = {}, 0.0
    for name, samples in populations.items():
        pairs, size, last = as_pairs(samples, f"population {name}")
        longest = max(longest, last)
        step = dt if dt is not None else _time_step(samples)
        spikes[name] = Spikes.from_events(
            sample=np.repeat(np.arange(len(pairs)), [len(t) for t, _ in pairs]),
            neuron=np.concatenate([i for _, i in pairs]),
            time=np.concatenate([t for t, _ in pairs]),
            n_samples=len(pairs),
            n_neurons=size,
            dt=step,
        )
        if spikes[name].step is not None:  # which is all that the grid has
            spikes[name] = _on_grid(spikes[name])
    labels = [segment.annotations.get("label") for segment in segments]
    return Recording(
        spikes=spikes,
        traces=_traces(segments),
        n_samples=len(segments),
        duration=longest or max(float(s.t_stop.rescale("s")) for s in segments),
        labels=None if None in labels else indices(labels, "label"),
    )


def _libraries():
    with needed("Neo's objects need", "neo", "data"):
        import neo
        import quantities
    return neo, quantities


def _times_of_neurons(recording, population):
    """Return the spike times of each sample and neuron, as a list of lists."""
    spikes, times = recording.spikes[population], recording.times(population)
    order = np.argsort(spikes.sample_and_neuron, kind="stable")
    ends = np.cumsum(spikes.counts().ravel())
    each = np.split(times[order], ends[:-1])
    n = spikes.n_neurons
    return [each[m * n : (m + 1) * n] for m in range(spikes.n_samples)]


def _sorted_trains(segments):
    """Return the trains of each population: of each sample, by neuron."""
    found = {}
    for m, segment in enumerate(segments):
        for place, train in enumerate(segment.spiketrains):
            name = train.annotations.get("population", "spikes")
            samples = found.setdefault(name, [[] for _ in segments])
            neuron = train.annotations.get("neuron", place)
            samples[m].append((int(neuron), place, train))
    return {
        name: [[train for *_, train in sorted(s, key=lambda x: x[:2])] for s in samples]
        for name, samples in found.items()
    }


def _time_step(samples):
    """Return the time step that the trains of a population say, in seconds."""
    said = [t.annotations.get("dt") for trains in samples for t in trains]
    steps = {0.0 if dt is None else float(dt.rescale("s")) for dt in said}
    if len(steps) > 1:
        raise ValueError(
            f"trains of a population must have one 'dt', got {sorted(steps)} s; give "
            "'dt'."
        )
    return steps.pop()


def _on_grid(spikes):
    return Spikes(
        neuron=spikes.neuron,
        offset=spikes.offset,
        n_neurons=spikes.n_neurons,
        dt=spikes.dt,
        step=spikes.step,
    )


def _traces(segments):
    """Return the traces that all segments have under one name."""
    found = {}
    for segment in segments:
        for k, signal in enumerate(segment.analogsignals):
            given = signal.annotations
            key = given.get("population", "signals"), given.get("variable", f"{k}")
            found.setdefault(key, []).append(signal)
    traces = {}
    for key, signals in found.items():
        shapes = {signal.shape for signal in signals}
        if len(signals) != len(segments) or len(shapes) > 1:
            raise ValueError(
                f"the signal {key[1]!r} of {key[0]!r} must be in each segment and of "
                f"one shape, got {len(signals)} of shapes {sorted(shapes)}."
            )
        first = signals[0]
        neuron = first.array_annotations.get("neuron", np.arange(first.shape[1]))
        values = [s.rescale(first.units).magnitude for s in signals]
        traces[key] = Trace(
            values=np.stack(values).astype(float),
            neuron=np.asarray(neuron, np.int64),
            unit=first.annotations.get("unit", first.units.dimensionality.string),
            dt=float(first.sampling_period.rescale("s")),
        )
    return traces
