"""What a loss makes of the time of each spike, those of hidden layers included."""

import numpy as np
import pytest
import torch
from brian2.units import ms

import bsnn
from bsnn.training import EarlySpikeLoss, SpikingNetwork

SIZES, THRESHOLDS, LABELS = [8, 6, 3], [0.1, 0.2], [1, 0, 2]
LOSS = EarlySpikeLoss(tau=30 * ms)
OPTIONS = {"tau_syn": 10 * ms, "tau_mem": 20 * ms, "duration": 80 * ms}
OPTIONS |= {"dt": 0 * ms}
DISTANCE = 1e-8  # seconds


def loss_of(network, inputs):
    with torch.no_grad():
        return LOSS(network(inputs), LABELS).item()


@pytest.fixture
def inputs(rng):
    time = np.sort(rng.uniform(0, 0.04, (3, 8)), axis=1)
    return bsnn.Spikes(
        neuron=rng.permuted(np.tile(np.arange(8), (3, 1)), axis=1).ravel(),
        offset=[0, 8, 16, 24],
        n_neurons=8,
        dt=0,
        time=time.ravel(),
    )


def test_time_gradients_are_differences_of_what_the_layers_above_do(inputs):
    """Hidden spikes, moved one by one, as the inputs of the last layer alone."""
    model = bsnn.Model.dense(SIZES, v_threshold=THRESHOLDS, **OPTIONS)
    above = bsnn.Model.dense(SIZES[1:], v_threshold=THRESHOLDS[1:], **OPTIONS)
    options = {"precision": "double", "low": [0, -5], "high": [30, 25]}
    options["slope_min"] = 1e-9  # no slope is clamped
    with (
        SpikingNetwork(model, seed=2, **options) as network,
        SpikingNetwork(above, precision="double") as last,
    ):
        last.load_state_dict({"connections.0.weight": network.weights[1].detach()})
        (hidden, found), (output, of_output) = network.time_gradients(
            inputs, lambda layers: LOSS(layers, LABELS)
        )
        assert all(weight.grad is None for weight in network.weights)
        for wrong in (lambda layers: 1.0, lambda layers: layers[0].time):
            with pytest.raises(TypeError, match="'loss' must return a scalar Tensor"):
                network.time_gradients(inputs, wrong)
        assert hidden.n_spikes > 20 and output.n_spikes > 10
        for at in range(0, hidden.n_spikes, 3):
            sides = []
            for sign in (1, -1):
                time = hidden.time.copy()
                time[at] += sign * DISTANCE
                moved = bsnn.Spikes(
                    neuron=hidden.neuron,
                    offset=hidden.offset,
                    n_neurons=6,
                    dt=0,
                    time=time,
                )
                sides.append(loss_of(last, moved))
            slope = (sides[0] - sides[1]) / (2 * DISTANCE)
            assert found[at].item() == pytest.approx(slope, rel=1e-4, abs=1e-4)
        assert found.abs().max() > 0.1
        layers = network(inputs)
        LOSS(layers, LABELS).backward(inputs=[layers[-1].time])
        torch.testing.assert_close(of_output, layers[-1].time.grad)
