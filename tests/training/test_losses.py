"""Losses: values by hand, gradients as their docstrings state them."""

import numpy as np
import pytest
import torch
from brian2.units import ms
from brian2.units import second as s

import bsnn
from bsnn import Spikes
from bsnn.analysis import Measurement, accuracy
from bsnn.labels import checked_labels
from bsnn.training import FirstSpikeLoss, SpikeCountLoss
from bsnn.training.spike_times import LayerSpikes


def output(sample, neuron, step, n_samples=2, n_neurons=3, dt=1e-3):
    record = Spikes.from_events(
        sample=sample,
        neuron=neuron,
        step=step,
        n_samples=n_samples,
        n_neurons=n_neurons,
        dt=dt,
    )
    time = torch.tensor(record.arrival, requires_grad=True)
    return (LayerSpikes(record=record, time=time),)


def test_count_loss_by_hand():
    # Counts: sample 0 (2, 0, 1), sample 1 (0, 0, 0); targets 4 for the label, else 1.
    layers = output([0, 0, 0], [0, 0, 2], [3, 9, 5])
    loss = SpikeCountLoss(true=4, false=1)(layers, [0, 1])
    first = 0.5 * ((2 - 4) ** 2 + (0 - 1) ** 2 + (1 - 1) ** 2)
    second = 0.5 * (1 + 16 + 1)
    assert loss.item() == (first + second) / 2
    loss.backward()
    # Every spike of a neuron receives target - count; spikes are ordered by step.
    np.testing.assert_array_equal(layers[0].time.grad, np.array([2, 0, 2]) / 2)


def test_one_sample_alone_has_its_full_loss_and_gradient():
    layers = output([0, 0, 0], [0, 0, 2], [3, 9, 5], n_samples=1)
    loss = SpikeCountLoss(true=4, false=1)(layers, [0])
    assert loss.item() == 0.5 * ((2 - 4) ** 2 + (0 - 1) ** 2 + (1 - 1) ** 2)
    loss.backward()
    np.testing.assert_array_equal(layers[0].time.grad, [2, 0, 2])


def test_count_loss_gradient_scales_with_what_flows_back():
    layers = output([0], [1], [3])
    (3 * SpikeCountLoss(true=15, false=3)(layers, [1, 0])).backward()
    assert layers[0].time.grad.tolist() == [3 * (15 - 1) / 2]


def test_a_penalty_pushes_every_hidden_spike_later():
    hidden = output([0, 0, 1], [0, 2, 1], [3, 5, 2])
    layers = hidden + output([0, 0, 0], [0, 0, 2], [3, 9, 5])
    plain = SpikeCountLoss(true=4, false=1)(layers[1:], [0, 1])
    loss = SpikeCountLoss(true=4, false=1, spike_penalty=0.5)(layers, [0, 1])
    assert loss.item() == plain.item() + 0.5 * 3 / 2
    loss.backward()
    np.testing.assert_array_equal(layers[0].time.grad, -0.25)
    np.testing.assert_array_equal(layers[1].time.grad, np.array([2, 0, 2]) / 2)


def test_first_spike_loss_is_a_softmax_of_first_times():
    layers = output([0, 0, 0, 1], [0, 0, 1, 2], [9, 29, 19, 4])
    loss = FirstSpikeLoss(tau=10 * ms, duration=200 * ms)(layers, [1, 2])
    loss.backward()
    first = torch.tensor(
        [[0.01, 0.02, 0.2], [0.2, 0.2, 0.005]], dtype=torch.float64, requires_grad=True
    )
    expected = torch.nn.functional.cross_entropy(-first / 0.01, torch.tensor([1, 2]))
    expected.backward()
    torch.testing.assert_close(loss, expected)
    # Only first spikes count; silent neurons stand at the end of the sample.
    by_hand = [first.grad[0, 0], first.grad[0, 1], 0.0, first.grad[1, 2]]
    np.testing.assert_allclose(layers[0].time.grad, by_hand, rtol=1e-12)


COUNT, FIRST = SpikeCountLoss(), FirstSpikeLoss(tau=10 * ms, duration=200 * ms)


def test_one_hot_labels_of_two_classes_are_told():
    with pytest.raises(ValueError, match=r"got \(3, 2\); undo one-hot .* argmax"):
        checked_labels(np.eye(2)[[0, 1, 1]], 3, 2, "labels")
    with pytest.raises(ValueError, match=r"got \(3, 1\)\."):
        checked_labels(np.zeros((3, 1), int), 3, 1, "labels")


def measure(layers, labels):
    model = bsnn.Model.dense(
        [1, 3], v_threshold=1, tau_syn=1 * ms, tau_mem=2 * ms, dt=1 * ms, duration=1 * s
    )
    Measurement(model, target=15).add([layer.record for layer in layers], labels)


def count_correct(layers, labels):
    accuracy(layers[-1].record, labels)


@pytest.mark.parametrize("take", [COUNT, FIRST, measure, count_correct])
@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0, 1, 2], ValueError, r"'labels' must have shape \(2,\), .* got \(3,\)"),
        ([[0], [2]], ValueError, r"'labels' must have shape \(2,\), .* got \(2, 1\)"),
        (np.eye(3)[[0, 2]], ValueError, r"got \(2, 3\); undo one-hot .* argmax\(1\)"),
        ([0, 3], ValueError, r"'labels' must lie in 0\.\.2.*got 0\.\.3"),
        ([-1, 0], ValueError, r"'labels' must lie in 0\.\.2.*got -1\.\.0"),
        (
            np.array([0, 2**64 - 1], np.uint64),
            ValueError,
            r"got 0\.\.18446744073709",
        ),
        ([0.9, 1.0], TypeError, "'labels' must be integers, got float64"),
        (torch.tensor([0.0, 1.0]), TypeError, "'labels' must be integers, got float32"),
        ([float("nan"), 0], TypeError, "'labels' must be integers, got float64"),
        ([True, False], TypeError, "'labels' must be integers, got bool"),
        (["0", "1"], TypeError, "'labels' must be integers, got <U1; .* number them"),
        ([None, 1], TypeError, "'labels' must be integers, got object"),
    ],
)
def test_wrong_labels_are_refused(take, labels, error, words):
    layers = output([0], [1], [3])
    with pytest.raises(error, match=words):
        take(layers, labels)


@pytest.mark.parametrize("loss", [COUNT, FIRST])
@pytest.mark.parametrize(
    "labels",
    [
        (1, 2),
        np.array([1, 2], np.uint8),
        np.array([1, 2], np.uint64),
        torch.tensor([1, 2]),
        torch.tensor([1, 2], dtype=torch.uint8),
    ],
)
def test_integers_of_any_kind_are_labels(loss, labels):
    layers = output([0], [1], [3])
    assert loss(layers, labels).item() == loss(layers, [1, 2]).item()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: SpikeCountLoss(false=-1), ValueError, "'false' must not be negative"),
        (lambda: SpikeCountLoss(true=np.inf), ValueError, "'true' must be finite"),
        (lambda: SpikeCountLoss(true=True), TypeError, "'true' must be a number"),
        (lambda: SpikeCountLoss(true=[15, 3]), TypeError, "'true' must be a number"),
        (lambda: SpikeCountLoss(spike_penalty="1"), TypeError, "'spike_penalty' must"),
        (
            lambda: FirstSpikeLoss(tau=0 * ms, duration=1 * ms),
            ValueError,
            "'tau' must be positive",
        ),
        (
            lambda: FirstSpikeLoss(tau=10, duration=200 * ms),
            TypeError,
            r"'tau' must be a Brian2 quantity .* got 10; write .* tau=10\*ms",
        ),
        (
            lambda: FirstSpikeLoss(tau=10 * ms, duration=0.2),
            TypeError,
            "'duration' must be a Brian2 quantity",
        ),
    ],
)
def test_impossible_targets_and_times_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
