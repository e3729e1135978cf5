"""The van Rossum distance: by integration, by hand, and its derivative."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Spikes
from bsnn.training import VanRossumLoss
from bsnn.training.spike_times import LayerSpikes
from bsnn.training.van_rossum import squared_distance

TAU = 0.01


def spikes(sample, neuron, time, n_samples=2, n_neurons=3):
    return Spikes.from_events(
        sample=sample,
        neuron=neuron,
        time=time,
        n_samples=n_samples,
        n_neurons=n_neurons,
        dt=0,
    )


def layer(record, time=None):
    time = torch.tensor(record.arrival, requires_grad=True) if time is None else time
    return LayerSpikes(record=record, time=time)


def drawn(seed, n_spikes):
    rng = np.random.default_rng(seed)
    sample, neuron = rng.integers(2, size=n_spikes), rng.integers(3, size=n_spikes)
    return spikes(sample, neuron, rng.uniform(0, 0.1, n_spikes))


def by_integration(record, target, n_samples=2, n_neurons=3, step=2e-6):
    """Filter both trains on a fine grid and integrate the squared difference."""
    grid = np.arange(0, 0.3, step)
    total = 0.0
    for m in range(n_samples):
        for j in range(n_neurons):
            difference = np.zeros_like(grid)
            for sign, train in ((1, record), (-1, target)):
                for t in train.time[(train.sample == m) & (train.neuron == j)]:
                    later = grid >= t
                    difference[later] += sign * np.exp(-(grid[later] - t) / TAU)
            total += (difference**2).sum() * step / TAU
    return total / n_samples


def test_it_is_the_integral_of_the_filtered_trains():
    record, target = drawn(0, 25), drawn(1, 20)
    loss = VanRossumLoss(tau=TAU * 1e3 * ms)(layer(record), target)
    # The rectangle rule is off by about a step over tau for each of 45 spikes.
    np.testing.assert_allclose(loss.item(), by_integration(record, target), rtol=2e-4)


def test_by_hand():
    one = spikes([0], [0], [0.02])
    loss = VanRossumLoss(tau=10 * ms)
    nothing = spikes([], [], [])
    assert loss(layer(one), nothing).item() == 0.5 / 2  # two samples
    assert loss(layer(nothing), one).item() == 0.5 / 2
    assert loss(layer(nothing), nothing).item() == 0
    late = layer(spikes([0], [0], [0.025]))
    value = loss(late, one)
    value.backward()
    np.testing.assert_allclose(value.item(), (1 - np.exp(-0.5)) / 2, rtol=1e-12)
    np.testing.assert_allclose(late.time.grad, np.exp(-0.5) / 0.01 / 2, rtol=1e-12)


def test_gradients_equal_finite_differences():
    record, target = drawn(2, 25), drawn(3, 20)
    loss = VanRossumLoss(tau=10 * ms)
    time = torch.tensor(record.arrival, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t: 3 * loss(layer(record, t), target), time, eps=1e-8, rtol=1e-5
    )


def test_moving_both_trains_changes_nothing():
    rng = np.random.default_rng(5)
    time, train, sign = rng.random(40) / 10, rng.integers(4, size=40), np.ones(40)
    sign[:20] = -1
    value, derivative = squared_distance(time, train, sign, TAU)
    by_train = np.bincount(train, derivative)
    assert value > 5 and np.abs(derivative).max() > 10
    np.testing.assert_allclose(by_train, 0, atol=1e-9)  # of terms up to 1 / TAU


def test_a_train_that_equals_its_target_stays():
    record = drawn(4, 25)
    same = layer(record)
    value = VanRossumLoss(tau=10 * ms)(same, record)
    value.backward()
    assert value.item() == 0
    np.testing.assert_array_equal(same.time.grad, 0)


def test_coincident_spikes_leave_what_others_feel_alone():
    # 1 ms behind a pair that cancels, a spike feels only its own target.
    pair, target = spikes([0, 0], [0, 0], [0.02, 0.021]), spikes([0], [0], [0.02])
    moved = layer(pair)
    VanRossumLoss(tau=10 * ms)(moved, target).backward()
    # It is free of the pair: its derivative is 0; the coincident one feels it alone.
    np.testing.assert_allclose(
        moved.time.grad, [np.exp(-0.1) / 0.01 / 2, 0], atol=1e-12
    )


def test_descent_finds_the_target():
    target = spikes([0, 0, 1], [0, 0, 2], [0.02, 0.05, 0.03])
    time = torch.tensor(target.arrival + [0.004, -0.006, 0.003], requires_grad=True)
    loss = VanRossumLoss(tau=10 * ms)
    for _ in range(300):
        (grad,) = torch.autograd.grad(loss(layer(target, time), target), time)
        time = (time - 2e-6 * grad).detach().requires_grad_()
    np.testing.assert_allclose(time.detach(), target.arrival, atol=2e-4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: VanRossumLoss(tau=0.01), TypeError, r"write .* tau=10\*ms"),
        (lambda: VanRossumLoss(tau=0 * ms), ValueError, "'tau' must be positive"),
        (
            lambda: VanRossumLoss(tau=1 * ms)({"a": 1}, drawn(0, 3)),
            TypeError,
            r"as activity\['cell'\], got dict",
        ),
        (
            lambda: VanRossumLoss(tau=1 * ms)(layer(drawn(0, 3)), np.zeros(3)),
            TypeError,
            "'target' must be Spikes, got ndarray; make them with Spikes.from_events",
        ),
        (
            lambda: VanRossumLoss(tau=1 * ms)(
                layer(drawn(0, 3)), spikes([0], [0], [0.1], n_samples=1)
            ),
            ValueError,
            "'target' must have n_samples = 2, as the layer, got 1",
        ),
        (
            lambda: VanRossumLoss(tau=1 * ms)(
                layer(drawn(0, 3)), spikes([0], [0], [0.1], n_neurons=1)
            ),
            ValueError,
            "'target' must have n_neurons = 3, as the layer, got 1",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
