"""The same seed gives the same bits, whatever shares the work."""

import numpy as np
import pytest
import torch

import bsnn
from bsnn.settings import Settings
from bsnn.training import SpikeCountLoss, SpikingNetwork

pytestmark = [pytest.mark.cpp, pytest.mark.slow]
# Enough spikes for three threads of each kind; one for each worker; fewer than workers.
BATCHES = np.split(np.arange(312), [300, 303, 305, 306])


@pytest.fixture(autouse=True)
def torch_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def learn(model, digits, count, gradient):
    """Return all spikes, gradients and weights of a short training, as arrays."""
    torch.set_num_threads(count)
    found = []
    with SpikingNetwork(
        model, seed=1, workers=count, n_threads=count, backend=gradient
    ) as network:
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
        for batch in BATCHES:
            layers = network(bsnn.encode_ttfs(digits.train_images[batch], model))
            optimizer.zero_grad()
            SpikeCountLoss()(layers, digits.train_labels[batch]).backward()
            optimizer.step()
            for layer in layers:
                assert layer.record.n_spikes > 0
                found += [layer.record.offset, *layer.record._per_spike().values()]
            for weight in network.weights:
                assert weight.grad.abs().max() > 0
                found += [weight.grad.numpy().copy(), weight.detach().numpy().copy()]
    return found


@pytest.mark.parametrize(
    ("rule", "dt_ms", "gradient"),
    [
        ("grid", 2.0, "native"),
        ("grid", 2.0, "torch"),
        ("quantised-event", 2.0, "native"),
        ("continuous", 0.0, "native"),
    ],
)
def test_workers_and_threads_change_no_bit(rule, dt_ms, gradient):
    model = Settings.reference("digits", rule=rule, dt_ms=dt_ms).model()
    digits = bsnn.load_dataset("digits")
    expected = learn(model, digits, 1, gradient)
    for count in (1, 2, 3, 3):
        found = learn(model, digits, count, gradient)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
