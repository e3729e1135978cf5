"""Latencies of constructed spike trains, and of recorded potentials beside them."""

import numpy as np
import pytest
from brian2.units import ms, second
from hypothesis import given
from hypothesis import strategies as st

from bsnn.analysis import latency
from bsnn.analysis.metrics import prediction_confidence
from bsnn.spikes import Spikes


def spikes(events, n_samples=1, n_neurons=2, dt=1e-3):
    sample, when, neuron = np.array(events).reshape(-1, 3).T
    return Spikes.from_events(
        sample=sample.astype(int),
        neuron=neuron.astype(int),
        n_samples=n_samples,
        n_neurons=n_neurons,
        dt=dt,
        **({"step": when.astype(int)} if dt else {"time": when}),
    )


@given(
    st.integers(0, 19),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_latency_of_a_step_is_where_it_steps(k, height, level):
    times = np.arange(1, 21) * 1e-3
    confidence = np.where(np.arange(20) >= k, height, 0.0)
    found = latency.mean_latency(times * second, confidence, level)
    assert found == times[k] if height >= level else np.isnan(found)


def test_latency_is_a_grid_time_and_not_interpolated():
    times, confidence = [10, 20, 30] * ms, [0.1, 0.4, 0.9]
    assert latency.mean_latency(times, confidence, 0.5) == 0.03
    assert latency.mean_latency(times, confidence, 0.4) == 0.02
    assert np.isnan(latency.mean_latency(times, confidence, 0.95))


def test_sample_latency_is_the_arrival_that_completes_the_level():
    # Label 0 everywhere; target 3, so 0.5 asks for 2 spikes and 0.9 for 3.
    events = [(0, 3, 0), (0, 5, 0), (0, 6, 1), (0, 8, 0), (1, 0, 0), (1, 1, 1)]
    output = spikes(events, n_samples=3)
    labels = [0, 0, 0]
    half = latency.sample_latency(output, labels, 3, 0.5)
    np.testing.assert_allclose(half, [6e-3, np.nan, np.nan], rtol=1e-12)
    most = latency.sample_latency(output, labels, 3, 0.9)
    np.testing.assert_allclose(most, [9e-3, np.nan, np.nan], rtol=1e-12)
    first = latency.sample_latency(output, labels, 3, 1 / 3)
    np.testing.assert_allclose(first, [4e-3, 1e-3, np.nan], rtol=1e-12)


@given(st.sets(st.integers(0, 49), min_size=1), st.sampled_from([0.5, 0.8, 0.9]))
def test_of_one_sample_both_latencies_are_the_same(steps, level):
    output = spikes([(0, step, 0) for step in steps])
    times = (np.arange(50) + 1) * ms
    confidence = prediction_confidence(output, [0], 15, times)
    mean = latency.mean_latency(times, confidence, level)
    np.testing.assert_array_equal(
        latency.sample_latency(output, [0], 15, level), [mean]
    )


@pytest.mark.parametrize("dt", [0.0, 1e-3])
def test_first_spike_of_each_neuron_after_onset(dt):
    # Arrivals in ms: neuron 0 at 3 and 7, neuron 1 at 7; in sample 1 neuron 1 at 5.
    events = [(0, 3, 0), (0, 7, 0), (0, 7, 1), (1, 5, 1)]
    if dt:
        events = [(m, t - 1, j) for m, t, j in events]
    else:
        events = [(m, t * 1e-3, j) for m, t, j in events]
    recorded = spikes(events, n_samples=3, dt=dt)
    for onset, expected in (
        (0.0, [[3, 7], [np.nan, 5], [np.nan, np.nan]]),
        (3e-3, [[4, 4], [np.nan, 2], [np.nan, np.nan]]),
        (6e-3, [[1, 1], [np.nan, np.nan], [np.nan, np.nan]]),
    ):
        found = latency.first_spike_latency(recorded, onset * second)
        np.testing.assert_allclose(found, np.array(expected) * 1e-3, rtol=1e-9)
    np.testing.assert_allclose(
        latency.first_output_latency(recorded), [3e-3, 5e-3, np.nan], rtol=1e-12
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 3)), unique=True
    )
)
def test_first_output_spike_is_the_first_of_all_neurons(events):
    recorded = spikes(events, n_samples=3, n_neurons=4)
    each = latency.first_spike_latency(recorded)
    np.testing.assert_array_equal(
        latency.first_output_latency(recorded), np.fmin.reduce(each, axis=1)
    )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="'level' must be positive"):
        latency.mean_latency([1] * ms, [0.5], 0)
    with pytest.raises(ValueError, match="must be of one length"):
        latency.mean_latency([1, 2] * ms, [0.5], 0.5)
    with pytest.raises(ValueError, match="'onset' must be finite"):
        latency.first_spike_latency(spikes([]), float("nan") * ms)
    with pytest.raises(ValueError, match="'target' must be positive"):
        latency.sample_latency(spikes([]), [0], 0, 0.5)
    for level, words in ((0, "positive"), (-0.5, "positive"), (float("nan"), "finite")):
        with pytest.raises(ValueError, match=f"'level' must be {words}, got"):
            latency.sample_latency(spikes([]), [0], 3, level)
