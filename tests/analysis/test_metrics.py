"""Metrics against values worked out by hand and against plain loops over spikes."""

import numpy as np
import pytest
import torch
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    ms,
    prefs,
    second,
)
from hypothesis import given
from hypothesis import strategies as st

import bsnn
from bsnn.analysis import Measurement, metrics
from bsnn.spikes import Spikes
from bsnn.training.spike_times import LayerSpikes
from tests.models import study_model

TARGET = 4


def spikes(events, n_samples, n_neurons, dt=1e-3):
    """Spikes from (sample, step or time, neuron)."""
    sample, when, neuron = np.array(events).reshape(-1, 3).T
    times = {"step": when.astype(int)} if dt else {"time": when}
    return Spikes.from_events(
        sample=sample.astype(int),
        neuron=neuron.astype(int),
        n_samples=n_samples,
        n_neurons=n_neurons,
        dt=dt,
        **times,
    )


@pytest.fixture
def output():
    # Sample 0: outputs 1 (twice) and 2. Sample 1: a tie of 0 and 2. Sample 2: silence.
    events = [(0, 4, 1), (0, 9, 1), (0, 4, 2), (1, 0, 2), (1, 1, 0)]
    return spikes(events, n_samples=3, n_neurons=4)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([1, 0, 0], 1.0), ([1, 2, 0], 2 / 3), ([2, 2, 3], 0.0)],
)
def test_accuracy_takes_the_lowest_index_on_ties(output, labels, expected):
    assert metrics.accuracy(output, labels) == pytest.approx(expected, rel=1e-15)


def test_undecided_counts_ties_and_silence(output):
    assert metrics.undecided(output) == pytest.approx(2 / 3, rel=1e-15)


def test_sparsity_by_hand(output):
    hidden = spikes([(0, 1, 0), (2, 3, 0), (2, 4, 1)], n_samples=3, n_neurons=2)
    assert metrics.spikes_per_sample([hidden, output]).tolist() == [1.0, 5 / 3]
    assert metrics.dead_labels(output) == 1
    assert metrics.silent_fraction([hidden, output]) == pytest.approx(1 / 6)


def test_silent_fraction_weighs_neurons_not_layers():
    loud = spikes([(0, 0, 0), (0, 0, 1), (0, 0, 2)], n_samples=1, n_neurons=3)
    mute = spikes([], n_samples=1, n_neurons=1)
    assert metrics.silent_fraction([loud, mute]) == 0.25


def test_confidence_counts_arrivals_of_the_true_label_only(output):
    # Labels 1, 2, 3: arrivals at 5 and 10 ms in sample 0, at 1 ms in sample 1.
    times = np.array([0.5, 1, 4.99, 5, 9, 10, 200]) * 1e-3
    confidence = metrics.prediction_confidence(
        output, [1, 2, 3], TARGET, times * second
    )
    expected = np.array([0, 1, 1, 2, 2, 3, 3]) / (3 * TARGET)
    np.testing.assert_allclose(confidence, expected, rtol=1e-15)


@pytest.mark.parametrize("dt_ms", [0.1, 0.3, 0.5, 1, 7])
def test_confidence_at_a_bins_end_includes_the_bin(dt_ms):
    # Times written as n*dt are not exact in binary; no spike may slip by for that.
    dt = dt_ms * 1e-3
    steps = np.arange(28)
    output = spikes([(0, s, 0) for s in steps], 1, 1, dt)
    typed = np.array([float(f"{(s + 1) * dt_ms / 1e3:.6f}") for s in steps])
    confidence = metrics.prediction_confidence(output, [0], 1, typed * second)
    np.testing.assert_array_equal(confidence, steps + 1.0)


def test_confidence_times_are_bin_ends_or_milliseconds():
    model = bsnn.Model.dense(
        [2, 1],
        v_threshold=1,
        tau_syn=1 * ms,
        tau_mem=2 * ms,
        dt=7 * ms,
        duration=20 * ms,
    )
    times = [metrics.confidence_times(m) for m in (model, model.with_dt(0 * ms))]
    np.testing.assert_allclose(times[0], [7e-3, 14e-3, 21e-3], rtol=1e-12)
    np.testing.assert_allclose(times[1], np.arange(1, 21) * 1e-3, rtol=1e-12)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (0, "'target' must be positive"),
        (-1, "'target' must be positive"),
        (float("nan"), "'target' must be finite"),
    ],
)
def test_target_must_be_positive(output, target, message):
    with pytest.raises(ValueError, match=message):
        metrics.prediction_confidence(output, [0, 0, 0], target, [100] * ms)


@pytest.fixture(scope="module")
def recording():
    """A SpikeMonitor of six neurons over three samples of 5 ms, and its events."""
    # (step, neuron): two in one step, out of order, and at both ends of a sample.
    events = [(0, 5), (4, 1), (4, 0), (5, 2), (9, 2), (14, 4)]
    step, neuron = np.array(events).T
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        source = SpikeGeneratorGroup(
            6, neuron, step * 1 * ms, dt=1 * ms, name="recorded_source"
        )
        monitor = SpikeMonitor(source, name="recorded_monitor")
        Network(source, monitor).run(15 * ms, namespace={})
    finally:
        prefs.codegen.target = target
    return monitor, events


def test_monitor_becomes_spikes_that_arrive_one_step_later(recording):
    monitor, events = recording
    found = metrics.as_spikes(monitor)
    assert (found.n_samples, found.n_neurons, found.dt) == (1, 6, 1e-3)
    assert list(zip(found.step, found.neuron, strict=True)) == sorted(events)
    np.testing.assert_allclose(
        found.arrival, np.sort(np.asarray(monitor.t + 1 * ms)), rtol=1e-12
    )


def test_monitor_of_several_samples_is_cut_at_the_duration(recording):
    found = metrics.as_spikes(recording[0], n_samples=3, duration=5 * ms)
    assert np.diff(found.offset).tolist() == [3, 2, 1]
    assert found.step.tolist() == [0, 4, 4, 0, 4, 4]
    assert metrics.accuracy(found, [0, 2, 4]) == 1.0


def test_metrics_take_a_monitor_of_one_sample(recording):
    assert metrics.accuracy(recording[0], [2]) == 1.0
    assert metrics.silent_fraction([recording[0]]) == pytest.approx(1 / 6)


def test_recordings_that_do_not_fit_are_refused(recording):
    with pytest.raises(ValueError, match="holds spikes of 3 samples"):
        metrics.as_spikes(recording[0], n_samples=2, duration=5 * ms)
    with pytest.raises(ValueError, match="'duration' must be given"):
        metrics.as_spikes(recording[0], n_samples=3)
    for other in ([1, 2, 3], None, {0: [1] * ms}):
        with pytest.raises(TypeError, match="Spikes, a SpikeMonitor or a pair .*, got"):
            metrics.as_spikes(other)
    with pytest.raises(ValueError, match=r"'n_neurons' and 'dt' are for a pair"):
        metrics.as_spikes(recording[0], n_neurons=6)


def run_in_numpy(*objects, times):
    """Run Brian2 objects in this process, at each of the time steps in ms in turn."""
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"
    network = Network(objects)
    try:
        for dt_ms, duration_ms in times:
            objects[0].clock.dt = dt_ms * ms
            network.run(duration_ms * ms, namespace={})
    finally:
        prefs.codegen.target = target


def test_a_monitor_that_counts_alone_is_refused_with_the_remedy():
    source = SpikeGeneratorGroup(2, [0], [1] * ms, dt=1 * ms, name="counted_source")
    monitor = SpikeMonitor(source, record=False, name="counting_monitor")
    run_in_numpy(source, monitor, times=[(1, 3)])
    assert monitor.count[0] == 1
    with pytest.raises(ValueError, match="counts alone; make it without record=False"):
        metrics.as_spikes(monitor)
    with pytest.raises(ValueError, match="counts alone; make it without record=False"):
        metrics.silent_fraction(monitor)


def test_a_monitor_of_two_time_steps_is_refused():
    source = SpikeGeneratorGroup(2, [0, 1], [1, 3.5] * ms, name="two_steps_source")
    monitor = SpikeMonitor(source, name="two_steps_monitor")
    run_in_numpy(source, monitor, times=[(1, 3), (0.5, 1), (1, 1)])
    as_pair = metrics.as_spikes((monitor.i, monitor.t), n_neurons=2)
    np.testing.assert_allclose(as_pair.time, [1e-3, 3.5e-3], rtol=1e-12)
    with pytest.raises(ValueError, match="'recorded' must be of one time step, 0.0"):
        metrics.as_spikes(monitor)


def test_a_pair_of_neurons_and_times_is_the_recording(recording):
    monitor, _ = recording
    expected = metrics.as_spikes(monitor, n_samples=3, duration=5 * ms)
    for pair in ((monitor.i, monitor.t), (monitor.i[:], monitor.t[:]), monitor.it):
        found = metrics.as_spikes(
            pair, n_samples=3, duration=5 * ms, n_neurons=6, dt=1 * ms
        )
        for name in ("neuron", "step", "offset"):
            assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    exact = metrics.as_spikes(
        (monitor.i, monitor.t), n_samples=3, duration=5 * ms, n_neurons=6
    )
    assert exact.offset.tolist() == expected.offset.tolist()
    np.testing.assert_allclose(exact.time, expected.step * 1e-3, atol=1e-12)


def test_a_pair_that_begins_a_sample_is_of_that_sample():
    # In binary, 0.6 / 0.2 is a little less than 3.
    found = metrics.as_spikes(
        ([0], [0.6] * second), n_samples=4, duration=200 * ms, n_neurons=1
    )
    assert found.sample.tolist() == [3]
    np.testing.assert_allclose(found.time, 0, atol=1e-15)


def test_pairs_that_do_not_fit_are_refused():
    pair = [0, 1], [1, 2] * ms
    for changes, error, words in (
        ({"n_neurons": None}, ValueError, r"'n_neurons' must be given for a pair"),
        ({"n_neurons": 1}, ValueError, r"'i' must lie in 0\.\.0, got 0\.\.1"),
        ({"dt": 1.0}, TypeError, "'dt' must be a Brian2 quantity"),
    ):
        with pytest.raises(error, match=words):
            metrics.as_spikes(pair, **{"n_neurons": 2, **changes})
    with pytest.raises(TypeError, match="'t' must have the dimension of time, got"):
        metrics.as_spikes(([0, 1], [1, 2]), n_neurons=2)
    with pytest.raises(ValueError, match=r"'t' must have shape \(2,\), got \(1,\)"):
        metrics.as_spikes(([0, 1], [1] * ms), n_neurons=2)


def test_one_layer_needs_no_list(recording, output):
    monitor = recording[0]
    for layer in (monitor, output):
        assert metrics.silent_fraction(layer) == metrics.silent_fraction([layer])
        alone = metrics.spikes_per_sample(layer)
        assert alone.tolist() == metrics.spikes_per_sample([layer]).tolist()
    measured = [Measurement(model([3, 6], 1, 15), target=TARGET) for _ in range(2)]
    measured[0].add(monitor, [2])
    measured[1].add([metrics.as_spikes(monitor)], [2])
    assert measured[0].summary() == measured[1].summary()
    assert measured[0].summary()["accuracy"] == 1.0


def test_what_a_network_returns_is_measured(output):
    layer = LayerSpikes(record=output, time=torch.zeros(5))
    assert metrics.as_spikes(layer) is output
    assert metrics.silent_fraction(layer) == metrics.silent_fraction(output)


def test_layers_of_other_samples_are_refused(output):
    hidden = spikes([], n_samples=2, n_neurons=3)
    with pytest.raises(ValueError, match=r"must be of the same samples, got \[2, 3\]"):
        Measurement(model([1, 3, 4], 1), target=TARGET).add([hidden, output], [0, 0, 0])


def model(sizes, dt_ms, duration_ms=10):
    return study_model(sizes, 1, dt=dt_ms * ms, duration=duration_ms * ms)


@st.composite
def networks(draw):
    """A model and random spikes of its two layers, as loose events."""
    dt_ms = draw(st.sampled_from([0, 0.5, 1, 3]))
    sizes = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    n_samples = draw(st.integers(1, 5))
    net = model([1, *sizes], dt_ms)
    when = st.integers(0, net.n_steps - 1) if dt_ms else st.floats(1e-6, 9.999e-3)
    layers = [
        draw(
            st.lists(
                st.tuples(
                    st.integers(0, n_samples - 1), when, st.integers(0, size - 1)
                ),
                unique=True,
                max_size=25,
            )
        )
        for size in sizes
    ]
    labels = draw(
        st.lists(st.integers(0, sizes[1] - 1), min_size=n_samples, max_size=n_samples)
    )
    return net, layers, labels


@given(networks(), st.integers(0, 5))
def test_measurement_agrees_with_plain_loops(case, cut):
    net, events, labels = case
    dt, n = net.dt_seconds, len(labels)
    measured = Measurement(net, target=TARGET)
    layers = [
        spikes(e, n, size, dt) for e, size in zip(events, net.layer_sizes, strict=True)
    ]
    for start, stop in ((0, min(cut, n)), (min(cut, n), n)):
        measured.add(
            [layer.select(start, stop) for layer in layers], labels[start:stop]
        )

    n_correct = n_true = 0
    first = []
    counts_at = dict.fromkeys(range(len(measured.confidence()[0])), 0)
    for m, label in enumerate(labels):
        mine = [(t, j) for s, t, j in events[1] if s == m]
        counts = [sum(j == k for _, j in mine) for k in range(net.layer_sizes[1])]
        n_correct += counts.index(max(counts)) == label
        arrivals = [(t + 1) * dt if dt else t for t, _ in mine]
        first += [min(arrivals)] if mine else []
        for (t, j), arrival in zip(mine, arrivals, strict=True):
            n_true += j == label
            for k in counts_at:
                reached = t <= k if dt else arrival <= (k + 1) * 1e-3
                counts_at[k] += reached and j == label
    summary = measured.summary()
    assert summary["accuracy"] == n_correct / n
    assert summary["layer_spikes"] == [len(e) / n for e in events]
    assert summary["hidden_spikes"] + summary["output_spikes"] == pytest.approx(
        sum(len(e) for e in events) / n, rel=1e-12
    )
    voices = {(k, j) for k, e in enumerate(events) for _, _, j in e}
    assert summary["silent_fraction"] == pytest.approx(
        1 - len(voices) / sum(net.layer_sizes), abs=1e-12
    )
    assert summary["dead_labels"] == net.layer_sizes[1] - sum(k for k, _ in voices)
    time_ms, confidence = measured.confidence()
    np.testing.assert_allclose(
        confidence, np.array(list(counts_at.values())) / (n * TARGET), rtol=1e-12
    )
    assert time_ms[0] == pytest.approx(1e3 * dt or 1.0)
    assert confidence[-1] == pytest.approx(n_true / (n * TARGET), rel=1e-12)
    assert summary["silent_samples"] == pytest.approx(1 - len(first) / n, abs=1e-12)
    if first:
        assert summary["first_spike_ms"] == pytest.approx(1e3 * np.mean(first))
    else:
        assert summary["first_spike_ms"] is None


def test_summary_names_when_levels_are_reached():
    net = model([1, 2], dt_ms=1)
    # Two samples of label 0, target 4: confidence 1/8 a spike.
    output = spikes([(m, 2 * k + 1, 0) for m in (0, 1) for k in range(4)], 2, 2)
    measured = Measurement(net, target=TARGET)
    measured.add([output], np.array([0, 0]))
    summary = measured.summary()
    assert summary["latency_ms"] == pytest.approx({"0.5": 4.0, "0.8": 8.0, "0.9": 8.0})
    assert summary["undecided"] == 0.0
    measured.add([spikes([], 2, 2)], np.array([0, 0]))
    assert measured.summary()["latency_ms"] == {
        "0.5": pytest.approx(8.0),
        "0.8": None,
        "0.9": None,
    }


def test_measurement_refuses_what_does_not_fit():
    net = model([1, 3, 2], dt_ms=1)
    measured = Measurement(net, target=15)
    with pytest.raises(ValueError, match="'add' a batch first"):
        measured.summary()
    with pytest.raises(ValueError, match=r"model's layers of \(3, 2\) neurons"):
        measured.add([spikes([], 1, 1), spikes([], 1, 3), spikes([], 1, 2)], [0])
    with pytest.raises(ValueError, match="'target' must be positive"):
        Measurement(net, target=0)
