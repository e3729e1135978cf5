"""The gradient of a whole network equals finite differences of its simulation."""

import numpy as np
import pytest
import torch
from brian2 import ms

import bsnn
from bsnn.training import SpikingNetwork
from tests.models import study_model

pytestmark = pytest.mark.cpp


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_continuous_layers_equal_central_differences(seed):
    model = study_model([6, 8, 3], [0.2, 0.4], delta_v=[0.2, 0.3], dt=0 * ms)
    rng = np.random.default_rng(seed)
    inputs = bsnn.Spikes.from_events(
        sample=np.repeat([0, 1], 6),
        neuron=np.tile(np.arange(6), 2),
        time=rng.uniform(0, 0.1, 12),
        n_samples=2,
        n_neurons=6,
        dt=0,
    )
    with SpikingNetwork(
        model, seed=seed, low=-1, high=6, precision="double", slope_min=1e-9
    ) as network:
        layers = network(inputs)
        for layer in layers:
            assert layer.record.n_spikes > 20
        # A loss that weighs every spike of both layers by a number of its own.
        pull = [torch.from_numpy(rng.normal(size=len(layer.time))) for layer in layers]
        sum(p @ layer.time for p, layer in zip(pull, layers, strict=True)).backward()

        def loss():
            records = network.simulate(inputs)
            for record, layer in zip(records, layers, strict=True):
                np.testing.assert_array_equal(record.neuron, layer.record.neuron)
            return sum(p.numpy() @ r.time for p, r in zip(pull, records, strict=True))

        step = 1e-6
        for weight in network.weights:
            flat, found = weight.data.view(-1), weight.grad.view(-1).numpy()
            expected = np.empty_like(found)
            for k, value in enumerate(flat.tolist()):
                flat[k] = value + step
                above = loss()
                flat[k] = value - step
                expected[k] = (above - loss()) / (2 * step)
                flat[k] = value
            # Differences of times of 1e-16 s over the step leave 1e-9 of the scale.
            np.testing.assert_allclose(
                found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max()
            )


def test_a_weight_changed_between_forward_and_backward_is_an_error():
    model = study_model([2, 2], 0.2, dt=0 * ms)
    inputs = bsnn.Spikes.from_events(
        sample=[0, 0], neuron=[0, 1], time=[0.0, 0.0], n_samples=1, n_neurons=2, dt=0
    )
    with SpikingNetwork(model, low=5, high=6) as network:
        (layer,) = network(inputs)
        assert layer.record.n_spikes > 0
        with torch.no_grad():
            network.weights[0].mul_(0.5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            layer.time.sum().backward()
        # What was changed before is the weight itself.
        network(inputs)[0].time.sum().backward()
        assert network.weights[0].grad.abs().min() > 0
