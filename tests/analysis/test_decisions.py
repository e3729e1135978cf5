"""What a readout says over time, beside a reading of every moment one by one."""

import numpy as np
import pytest
from brian2 import ms
from hypothesis import given
from hypothesis import strategies as st

from bsnn import Readout, Spikes
from bsnn.analysis import Measurement, decision_latency
from tests.models import study_model

DT = 1e-3
KINDS = ("most-spikes", "first-spike")


def spikes_of(trains, n_neurons=3, dt=DT):
    """Return the spikes of samples that are given as lists of (step, neuron)."""
    events = [(m, s, n) for m, train in enumerate(trains) for s, n in train]
    sample, step, neuron = np.array(events, int).reshape(-1, 3).T
    return Spikes.from_events(
        sample=sample,
        step=step,
        neuron=neuron,
        n_samples=len(trains),
        n_neurons=n_neurons,
        dt=dt,
    )


def slowly(train, n_neurons, kind):
    """Return when the label is stable by going through all steps, in seconds."""
    label, since = -1, np.nan
    for step in range(21):
        seen = [n for s, n in train if s <= step]
        if kind == "first-spike" and seen:
            first = min(s for s, _ in train)
            seen = list(dict.fromkeys(n for s, n in train if s == first))
        counts = np.bincount(seen, minlength=n_neurons)
        now = -1 if counts.max() == counts.min() else counts.argmax()
        if now != label:
            label, since = now, (step + 1) * DT
    return since if label >= 0 else np.nan


trains = st.lists(
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 2)), max_size=12).map(
        lambda train: sorted(set(train))
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", KINDS)
@given(trains)
def test_a_decision_is_stable_from_the_last_change_on(kind, trains):
    latency = decision_latency(spikes_of(trains), Readout(kind))
    expected = [slowly(train, 3, kind) for train in trains]
    np.testing.assert_allclose(latency, expected, rtol=1e-12)


def test_a_trace_decides_when_its_running_maximum_or_mean_does():
    trace = np.zeros((2, 4, 2))
    trace[0, :, 0] = [0, 3, 0, 0]
    trace[0, :, 1] = [0, 0, 2, 5]  # overtakes in the last step
    trace[1, :, 0] = [1, 0, 0, 0]
    for kind, expected in (("max", [4, 1]), ("mean", [4, 1])):
        latency = decision_latency(trace, Readout(kind, variable="v"), dt=DT)
        np.testing.assert_allclose(latency, np.array(expected) * DT)
    silent = decision_latency(np.zeros((1, 4, 2)), Readout("max"), dt=DT)
    assert np.isnan(silent).all()


def test_samples_are_read_in_parts_as_at_once(monkeypatch, rng):
    trace = rng.normal(size=(7, 5, 3))
    whole = decision_latency(trace, Readout("mean"), dt=DT)
    monkeypatch.setattr("bsnn.analysis.decisions._AT_A_TIME", 31)
    np.testing.assert_array_equal(
        decision_latency(trace, Readout("mean"), dt=DT), whole
    )


def measured(readout, output, labels, n_neurons=3):
    model = study_model([2, n_neurons], 0.5, dt=1 * ms, duration=20 * ms)
    measurement = Measurement(model, 15, readout)
    measurement.add([output], labels)
    return measurement


def test_the_first_spike_is_right_and_confident_from_its_arrival_on():
    output = spikes_of([[(4, 1), (5, 2), (6, 2)], [(9, 0), (9, 2)], [(2, 2)], []])
    measurement = measured(Readout("first-spike"), output, [1, 2, 2, 0])
    summary = measurement.summary()
    # A tie goes to the lowest index; a silent sample "says" class 0.
    assert summary["accuracy"] == 0.75
    assert summary["undecided"] == 0.5
    time_ms, confidence = measurement.confidence()
    expected = np.searchsorted([3, 5], time_ms, side="right") / 4
    np.testing.assert_array_equal(confidence, expected)
    assert summary["decision_ms"] == pytest.approx((5 + 10 + 3) / 3)


def test_a_maximum_is_confident_by_the_softmax_of_what_was_seen(rng):
    trace = rng.normal(size=(3, 20, 3)).astype(np.float32)
    labels = np.array([0, 2, 1])
    readout = Readout("max", "out", "v", scale=0.5)
    measurement = measured(readout, trace, labels)
    score = np.exp(np.maximum.accumulate(trace, axis=1) / 0.5)
    expected = (score / score.sum(2, keepdims=True))[np.arange(3), :, labels]
    np.testing.assert_allclose(measurement.confidence()[1], expected.mean(0), 1e-6)
    summary = measurement.summary()
    assert summary["accuracy"] == np.mean(trace.max(1).argmax(1) == labels)
    assert summary["output_spikes"] == summary["silent_samples"] == 0
    assert summary["silent_fraction"] == 0  # nothing that could fire
    assert summary["dead_labels"] == 3 - len(set(trace.max(1).argmax(1)))
    assert summary["first_spike_ms"] is None


def test_a_measurement_goes_on_under_any_readout(rng):
    trace = rng.normal(size=(4, 20, 3))
    labels = np.array([0, 1, 2, 0])
    readout = Readout("mean", "out", "v")
    whole = measured(readout, trace, labels)
    first = measured(readout, trace[:2], labels[:2])
    again = Measurement(first.model, 15, readout)
    again.restore(first.state())
    again.add([trace[2:]], labels[2:])
    assert again.summary() == whole.summary()


def test_a_trace_needs_its_shape_and_time_step(rng):
    trace, readout = rng.normal(size=(2, 3, 2)), Readout("max")
    for dt in (None, 0.0, -DT):
        with pytest.raises(ValueError, match="'dt' must be positive for a trace, got"):
            decision_latency(trace, readout, dt=dt)
    with pytest.raises(TypeError, match=r"got ndarray of shape \(3, 2\)"):
        decision_latency(trace[0], readout, dt=DT)
    with pytest.raises(TypeError, match="must be Spikes, a SpikeMonitor or a pair"):
        decision_latency([1, 2, 3])
    in_ms = decision_latency(trace, readout, dt=1 * ms)
    np.testing.assert_array_equal(in_ms, decision_latency(trace, readout, dt=DT))


def test_what_cannot_be_read_out_is_named():
    with pytest.raises(TypeError, match="the last of 'layers' must be a trace"):
        measured(Readout("max"), spikes_of([[]]), [0])
    with pytest.raises(ValueError, match="'kind' must be one of"):
        Readout("median")
    with pytest.raises(ValueError, match="'variable' and 'scale' must be left out"):
        Readout("most-spikes", variable="v")
    with pytest.raises(ValueError, match="'scale' must be positive"):
        Readout("max", scale=0)
