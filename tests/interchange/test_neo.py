"""Recorded spikes and traces as objects of Neo, and back."""

import sys
from types import SimpleNamespace

import brian2 as b2
import neo
import numpy as np
import pytest
import quantities as pq
from brian2.units import Hz, ms, second
from hypothesis import given
from hypothesis import strategies as st

from bsnn import Inputs, Network, Neuron, Population, Spikes, TimedDataset
from bsnn.errors import BackendUnavailable
from bsnn.inputs import codes
from bsnn.interchange import from_neo, to_neo
from tests.inputs.test_libraries import make_model


def draw(n_samples=3, n_steps=50, n_neurons=4, seed=0, dt=1 * ms):
    rng = np.random.default_rng(seed)
    fired = rng.random((n_samples, n_steps, n_neurons)) < 0.1
    return fired, Spikes.from_dense(fired, dt=dt)


def same(a, b):
    names = ("neuron", "offset", "step", "time")
    return (a.n_neurons, a.dt) == (b.n_neurons, b.dt) and all(
        np.array_equal(getattr(a, n), getattr(b, n))
        if getattr(a, n) is not None
        else getattr(b, n) is None
        for n in names
    )


@pytest.fixture(scope="module")
def monitors():
    """What stock Brian2 recorded of three neurons in two samples of 20 ms."""
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * ms  # whatever ran before
    group = b2.NeuronGroup(
        3,
        "dv/dt = (60*mV - v)/tau : volt\ntau : second",
        threshold="v > 50*mV",
        reset="v = 0*mV",
        method="exact",
        name="cells",
    )
    group.tau = [3, 4, 1e6] * ms
    spikes = b2.SpikeMonitor(group, name="spikes")
    trace = b2.StateMonitor(group, "v", record=[2, 0], name="trace")
    b2.Network(group, spikes, trace).run(40 * ms, namespace={})
    return spikes, trace


def test_a_segment_is_a_sample_and_a_train_a_neuron():
    fired, spikes = draw()
    block = to_neo({"cells": spikes}, duration=50 * ms, labels=[2, 0, 1])
    assert [s.annotations["label"] for s in block.segments] == [2, 0, 1]
    for m, segment in enumerate(block.segments):
        assert len(segment.spiketrains) == 4
        for neuron, train in enumerate(segment.spiketrains):
            expected = np.flatnonzero(fired[m, :, neuron]) * 1e-3
            assert np.array_equal(train.rescale("s").magnitude, expected)
            assert (float(train.t_start), float(train.t_stop)) == (0, 0.05)
            assert train.dimensionality.string == "s"
            said = {k: train.annotations[k] for k in ("population", "neuron", "sample")}
            assert said == {"population": "cells", "neuron": neuron, "sample": m}
            assert train.annotations["label"] == [2, 0, 1][m]
            assert train.annotations["dt"] == 1 * pq.ms


@given(
    n_samples=st.integers(1, 4),
    n_steps=st.integers(1, 30),
    n_neurons=st.integers(1, 5),
    dt_ms=st.sampled_from([0.1, 0.3, 0.5, 1.0, 7.0]),
    seed=st.integers(0, 999),
)
def test_spikes_go_there_and_back(n_samples, n_steps, n_neurons, dt_ms, seed):
    _, spikes = draw(n_samples, n_steps, n_neurons, seed, dt_ms * ms)
    other = Spikes.from_dense(np.ones((n_samples, n_steps, 2)), dt=dt_ms * ms)
    block = to_neo({"b": spikes, "a": other}, duration=n_steps * dt_ms * ms)
    again = from_neo(block)
    assert list(again.spikes) == ["b", "a"] and again.labels is None
    assert same(again.spikes["b"], spikes) and same(again.spikes["a"], other)
    assert again.duration == pytest.approx(n_steps * dt_ms * 1e-3, rel=1e-12)


def test_continuous_times_go_there_and_back():
    spikes = Spikes.from_events(
        sample=[0, 1, 1],
        neuron=[1, 0, 1],
        time=[0.1, 0.25, 1.5] * ms,
        n_samples=2,
        n_neurons=2,
        dt=0,
    )
    again = from_neo(to_neo(spikes, duration=2 * ms), dt=None)
    assert same(again.spikes["spikes"], spikes)


def test_what_goes_there_is_a_data_set():
    fired, spikes = draw()
    segments = to_neo(spikes, duration=50 * ms).segments
    dataset = TimedDataset.from_neo(segments, [0, 1, 0], segments, [0, 1, 0])
    samples = dataset.samples("train", codes.named("events"), make_model(dataset))
    assert same(samples.spikes(np.arange(3)), spikes)


def test_monitors_of_brian2_are_taken(monitors):
    spikes, trace = monitors
    block = to_neo(spikes, duration=20 * ms, n_samples=2, traces=trace)
    assert len(block.segments) == 2
    for neuron in range(3):
        trains = [
            s.spiketrains[neuron].magnitude + 0.02 * m
            for m, s in enumerate(block.segments)
        ]
        recorded = np.asarray(spikes.t)[np.asarray(spikes.i) == neuron]
        assert np.concatenate(trains) == pytest.approx(recorded, rel=1e-12)
        assert len(recorded) > 4 or neuron == 2
    for m, segment in enumerate(block.segments):
        (signal,) = segment.analogsignals
        assert signal.name == "cells.v" and signal.units == pq.V
        values = np.asarray(trace.v)[:, 200 * m : 200 * (m + 1)].T
        assert np.array_equal(signal.magnitude, values)
        assert signal.array_annotations["neuron"].tolist() == [2, 0]
        assert signal.sampling_period.rescale("ms") == pytest.approx(0.1)
    again = from_neo(block)
    assert again.traces["cells", "v"].unit == "volt"
    assert again.traces["cells", "v"].values.shape == (2, 200, 2)
    assert again.spikes["cells"].dt == pytest.approx(1e-4)


def test_the_activity_of_a_network_has_its_units():
    """Without torch: what is asked for is `record` and `trace`."""
    integrator = Neuron("dv/dt = -v/tau : volt", parameters={"tau": 5 * ms})
    network = Network(
        [Inputs("ear", 4), Population("out", 2, integrator, record=["v"])],
        [],
        dt=1 * ms,
        duration=50 * ms,
    )
    _, spikes = draw()
    values = np.random.default_rng(0).normal(size=(3, 50, 2))
    activity = {
        "ear": SimpleNamespace(record=spikes, trace={}),
        "out": SimpleNamespace(record=None, trace={"v": values}),
    }
    segments = to_neo(activity, network=network).segments
    (signal,) = segments[1].analogsignals
    assert signal.units == pq.V and np.array_equal(signal.magnitude, values[1])
    assert len(segments[1].spiketrains) == 4


def test_blocks_of_others_are_one_population():
    segments = []
    for _ in range(2):
        segments.append(neo.Segment())
        for times in ([1, 2], [3.5]):
            train = neo.SpikeTrain(times, units="ms", t_stop=10)
            segments[-1].spiketrains.append(train)
    spikes = from_neo(segments).spikes["spikes"]
    assert spikes.dt == 0 and spikes.counts().tolist() == [[2, 1]] * 2
    gridded = from_neo(segments, dt=1 * ms).spikes["spikes"]
    assert gridded.step.tolist() == [1, 2, 3, 1, 2, 3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # elephant's own
def test_measures_of_elephant_apply():
    pytest.importorskip("elephant")
    import elephant.statistics

    fired, spikes = draw(n_samples=1, n_steps=200)
    train = to_neo(spikes, duration=200 * ms).segments[0].spiketrains[0]
    gaps = np.diff(np.flatnonzero(fired[0, :, 0])) * 1e-3
    found = elephant.statistics.isi(train).rescale("s").magnitude
    assert found == pytest.approx(gaps, rel=1e-9)
    assert elephant.statistics.cv(found) == pytest.approx(gaps.std() / gaps.mean())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "'duration' must be given: what was recorded does not say"),
        (
            {"duration": 10 * ms},
            ValueError,
            "a spike of 'spikes' at .* 'duration' must",
        ),
        ({"duration": 50}, TypeError, "'duration' must"),
        ({"duration": 50 * ms, "labels": [0, 1]}, ValueError, "each of 3 samples, got"),
        (
            {"duration": 50 * ms, "labels": [0.5] * 3},
            TypeError,
            "'labels' must hold in",
        ),
        (
            {"duration": 50 * ms, "traces": [3]},
            TypeError,
            "'traces' must be StateMonit",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        to_neo(draw()[1], **options)


def test_parts_of_other_sizes_are_refused(monitors):
    spikes, trace = monitors
    with pytest.raises(ValueError, match="as many samples .*'a': 3, 'b': 2"):
        to_neo({"a": draw()[1], "b": draw(2)[1]}, duration=50 * ms)
    with pytest.raises(
        ValueError, match="'traces' hold 400 steps of 'v' of 'cells', n"
    ):
        to_neo(spikes, duration=100 * ms, traces=trace)
    with pytest.raises(TypeError, match="'recorded' must be Spikes, a SpikeMonitor or"):
        to_neo(5, duration=20 * ms)
    part = SimpleNamespace(record=draw()[1], trace={"v": np.zeros((3, 50))})
    with pytest.raises(ValueError, match="trace of 'v' must have shape .n_samples"):
        to_neo({"a": part}, duration=50 * ms)


def test_pairs_of_neurons_and_times_are_taken():
    pair = ([0, 1, 0], [1, 2, 12] * ms)
    block = to_neo(pair, duration=10 * ms, n_samples=2, n_neurons=2, dt=1 * ms)
    assert block.segments[1].spiketrains[0].magnitude == pytest.approx([2e-3])


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'block' has no segments"):
        from_neo(neo.Block())
    block = to_neo(draw()[1], duration=50 * ms)
    block.segments[1].spiketrains[0].annotations["dt"] = 2 * pq.ms
    with pytest.raises(ValueError, match=r"must have one 'dt', got \[0.001, 0.002\] s"):
        from_neo(block)
    assert from_neo(block, dt=1 * ms).spikes["spikes"].n_neurons == 4


def test_signals_that_do_not_fit_are_refused(monitors):
    spikes, trace = monitors
    block = to_neo(spikes, duration=20 * ms, n_samples=2, traces=trace)
    signals = block.segments[1].analogsignals
    signals[0] = signals[0][:100]
    with pytest.raises(ValueError, match="the signal 'v' of 'cells' must be in each"):
        from_neo(block)


def test_without_the_package_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[data\]'"):
        to_neo(draw()[1], duration=50 * ms)


def test_rates_are_no_durations():
    with pytest.raises(TypeError, match="'duration'"):
        to_neo(draw()[1], duration=50 * Hz)
    with pytest.raises(ValueError, match="'duration'"):
        to_neo(draw()[1], duration=0 * second)
