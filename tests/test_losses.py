"""Losses: values by hand, gradients as their docstrings state them."""

import numpy as np
import pytest
import torch

from bsnn import Spikes
from bsnn.training import FirstSpikeLoss, SpikeCountLoss
from bsnn.training.spiking_network import LayerSpikes


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
    loss = FirstSpikeLoss(tau=0.01, duration=0.2)(layers, [1, 2])
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


@pytest.mark.parametrize("loss", [SpikeCountLoss(), FirstSpikeLoss(tau=1, duration=1)])
def test_wrong_labels_are_refused(loss):
    layers = output([0], [1], [3])
    with pytest.raises(
        ValueError, match=r"'labels' must have shape \(2,\), got \(3,\)"
    ):
        loss(layers, [0, 1, 2])
    with pytest.raises(ValueError, match=r"'labels' must lie in 0\.\.2.*got 0\.\.3"):
        loss(layers, [0, 3])


def test_impossible_targets_are_refused():
    with pytest.raises(ValueError, match="'false' must be finite and not negative"):
        SpikeCountLoss(true=1, false=-1)
    with pytest.raises(ValueError, match="'tau' must be positive"):
        FirstSpikeLoss(tau=0, duration=0.2)
