"""Losses of traces: values by hand, gradients by finite differences."""

import numpy as np
import pytest
import torch
from brian2.units import ms, mV

from bsnn import Spikes
from bsnn.training import ReadoutLoss, TraceLoss, away_from_spikes

RNG = np.random.default_rng(0)
TRACE, TARGET = RNG.normal(size=(2, 2, 5, 3))
WEIGHT = RNG.random((2, 5, 3)) * (RNG.random((2, 5, 3)) < 0.6)


def tensor(values=TRACE):
    return torch.tensor(values, requires_grad=True)


def test_a_trace_is_compared_where_it_counts():
    expected = (WEIGHT * ((TRACE - TARGET) / 0.5) ** 2).sum() / WEIGHT.sum()
    loss = TraceLoss(scale=0.5)(tensor(), TARGET, WEIGHT)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)


def test_unless_given_the_scale_is_the_deviation_of_what_counts():
    mean = (WEIGHT * TARGET).sum() / WEIGHT.sum()
    variance = (WEIGHT * (TARGET - mean) ** 2).sum() / WEIGHT.sum()
    expected = (WEIGHT * (TRACE - TARGET) ** 2).sum() / WEIGHT.sum() / variance
    found = TraceLoss()(tensor(), TARGET, WEIGHT).item()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # The mean itself leaves all of the variance unexplained, in whatever unit.
    flat = np.full_like(TRACE, mean)
    for unit in (1, 1e-3):
        loss = TraceLoss()(tensor(unit * flat), unit * TARGET, WEIGHT)
        np.testing.assert_allclose(loss.item(), 1, rtol=1e-12)


def test_one_recording_may_serve_all_neurons_and_have_a_unit():
    loss = TraceLoss(scale=2 * mV)
    found = loss(tensor(), TARGET[:, :, :1] * 1e3 * mV)
    expected = (((TRACE - TARGET[:, :, :1]) / 2e-3) ** 2).mean()
    np.testing.assert_allclose(found.item(), expected, rtol=1e-12)


def test_what_does_not_count_may_be_anything():
    target, trace = TARGET.copy(), tensor(np.where(WEIGHT > 0, TRACE, np.inf))
    target[WEIGHT == 0] = np.nan
    loss = TraceLoss()(trace, target, WEIGHT)
    loss.backward()
    assert loss.item() == TraceLoss()(tensor(), TARGET, WEIGHT).item()
    assert trace.grad.isfinite().all()
    assert (trace.grad[torch.tensor(WEIGHT == 0)] == 0).all()


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: TraceLoss()(x, TARGET, WEIGHT),
        lambda x: ReadoutLoss("max", scale=0.3)(x, [2, 0]),
        lambda x: ReadoutLoss("mean", scale=0.3)(x, [2, 0]),
    ],
)
def test_gradients_equal_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, tensor())


def test_the_readout_is_a_softmax():
    for readout, score in (("max", TRACE.max(1)), ("mean", TRACE.mean(1))):
        power = np.exp(score / 0.3)
        chosen = power[[0, 1], [2, 0]] / power.sum(1)
        found = ReadoutLoss(readout, scale=0.3)(tensor(), [2, 0])
        np.testing.assert_allclose(found.item(), -np.log(chosen).mean(), rtol=1e-12)


def test_windows_around_spikes_are_left_out():
    record = Spikes.from_events(
        sample=[0, 0, 1],
        neuron=[0, 0, 1],
        step=[0, 7, 4],
        n_samples=2,
        n_neurons=2,
        dt=1 * ms,
    )
    away = away_from_spikes(record, 10, before=1 * ms, after=2.5 * ms)
    assert away.shape == (2, 10, 2)
    kept = [[np.flatnonzero(away[m, :, j]).tolist() for j in (0, 1)] for m in (0, 1)]
    everything = list(range(10))
    assert kept == [[[4, 5], everything], [everything, [0, 1, 2, 8, 9]]]
    only = away_from_spikes(record, 10, before=0 * ms, after=0 * ms)
    assert np.flatnonzero(only[0, :, 0]).tolist() == [1, 2, 3, 4, 5, 6, 8, 9]


EVENT = Spikes.from_events(
    sample=[0], neuron=[0], step=[5], n_samples=1, n_neurons=1, dt=1e-3
)
TIMED = Spikes.from_events(
    sample=[0], neuron=[0], time=[5e-3], n_samples=1, n_neurons=1, dt=0
)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: TraceLoss(scale=0), ValueError, "'scale' must be positive"),
        (lambda: TraceLoss(scale="1"), TypeError, "'scale' must be a number"),
        (lambda: TraceLoss()(TRACE, TARGET), TypeError, "'trace' must be a tensor, as"),
        (
            lambda: TraceLoss()(tensor(TRACE[0]), TARGET),
            ValueError,
            r"\(n_samples, n_steps, n_neurons\), got \(5, 3\)",
        ),
        (
            lambda: TraceLoss()(tensor(), TARGET[:, :, 0]),
            ValueError,
            r"'target' must have the trace's shape \(2, 5, 3\).*write target\[",
        ),
        (
            lambda: TraceLoss()(tensor(), TARGET, WEIGHT[:, :4]),
            ValueError,
            r"'weight' must have the trace's shape .* got \(2, 4, 3\)\.",
        ),
        (
            lambda: TraceLoss()(tensor(), TARGET, 0 * WEIGHT),
            ValueError,
            "'weight' must be finite, not negative, and positive somewhere",
        ),
        (lambda: TraceLoss()(tensor(), TARGET, -1), ValueError, "not negative"),
        (
            lambda: TraceLoss()(tensor(), np.where(TARGET > 0, np.nan, TARGET)),
            ValueError,
            "'target' must be finite where 'weight' is positive",
        ),
        (
            lambda: TraceLoss()(tensor(), 0.1),
            ValueError,
            r"'target' is constant where it counts.*give TraceLoss\(scale=",
        ),
        (lambda: ReadoutLoss("last"), ValueError, "'readout' must be one of max, mean"),
        (
            lambda: ReadoutLoss()({"out": 1}, [0, 1]),
            TypeError,
            r"as activity\['out'\]\.trace\['v'\], got dict",
        ),
        (
            lambda: ReadoutLoss()(tensor(), [0, 3]),
            ValueError,
            r"'labels' must lie in 0\.\.2",
        ),
        (
            lambda: away_from_spikes(EVENT, 5, before=0 * ms, after=0 * ms),
            ValueError,
            "'spikes' must come before 'n_steps', 5, got step 5",
        ),
        (
            lambda: away_from_spikes(EVENT, 9, before=1, after=0 * ms),
            TypeError,
            "'before' must be a Brian2 quantity",
        ),
        (
            lambda: away_from_spikes(EVENT, 9, before=0 * ms, after=-1 * ms),
            ValueError,
            "'after' must not be negative",
        ),
        (
            lambda: away_from_spikes(TIMED, 9, before=0 * ms, after=0 * ms),
            ValueError,
            "'spikes' must lie on a grid",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
