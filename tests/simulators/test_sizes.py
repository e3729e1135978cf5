"""Layers, batches and spikes beyond every size at which code takes another path.

In bsnn/targets/cpp, bsnn/program, bsnn/simulators:
threshold.cpp         blocks of 32 neurons, words of 8 within them, the rest
dense_projection.cpp  rows two at a time, an odd one alone
resident.cpp            records that outgrow the exchange, which grows by half
resident.py           inputs that outgrow the first exchange of 1 MiB
grid.py, event.py     fewer samples than workers, parts that differ by one
event.cpp             blocks of 16 neurons; 1, 2 and more deliveries at once;
                      64 tau_mem from the reference; 100,000 spikes of a neuron
In training/linear:
gradient.cpp          blocks of 1, 2 or 4 cache lines (8, 16, 32 columns, twice as many
                      in single precision), the last one not full; up to 4 groups of
                      samples for fewer blocks; 2,000 spikes and 250,000 elements a
                      thread; windows of 4 of the shortest tau; spikes out of the order
                      of arrivals; 8 modes
gradient.py           chunks of 4,194,304 elements
Elsewhere:
encoding.py           grey levels as bytes; 256 samples
beside.py, epoch.py   50 samples beside; 500 samples an evaluation
spikes.py, analysis   none

What is not below is in test_grid ("blocks", batches of any size), test_event (spans,
spikes without bound) and test_gradient, test_gradient_kernel (chunks, threads).
"""

import numpy as np
import pytest
import torch
from brian2 import ms

import bsnn
from bsnn.equations import ExponentialModes
from bsnn.inputs.samples import ImageSamples
from bsnn.simulators.event import EventSimulator
from bsnn.training import SpikeCountLoss, SpikingNetwork
from bsnn.training.experiments.epoch import evaluate, train_epoch
from bsnn.training.experiments.progress import EpochProgress
from bsnn.training.linear import kernel
from tests.inputs.test_encoding import make_model as make_encoder
from tests.inputs.test_encoding import slow_spikes
from tests.models import study_model
from tests.oracles.gradient import network_gradient, random_inputs, random_layer
from tests.simulators.test_event import by_root_finder, draw, make_inputs, make_model
from tests.training.linear.test_gradient import (
    SLOPE_MIN,
    THREE_MODES,
    TWO_MODES,
    arrivals_of,
    crossings_of,
    pairs,
)


def blocks_of(neuron, n_neurons, size):
    """Assert that neurons of each block of `size` fire."""
    assert np.unique(neuron // size).tolist() == [*range(-(-n_neurons // size))]


@pytest.mark.cpp
@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("dt_ms", [0, 2])
def test_events_of_several_blocks_equal_the_root_finder(dt_ms, real):
    """37 and 18 neurons; three samples for two workers; one, two and three at once."""
    sizes, thresholds, deltas = (5, 37, 18), [0.2, 0.5], [0.2, 0.3]
    model = make_model(sizes, dt_ms, v_threshold=thresholds, delta_v=deltas)
    weights, inputs = draw(model, np.random.default_rng(7), n_samples=3, n_spikes=8)
    weights = [weight.astype(real) for weight in weights]
    time, sample = [0.019] * 3 + [0.017] * 2, [0, 0, 0, 1, 1]
    together = make_inputs(model, time, range(5), sample, n_samples=3)
    batch = bsnn.Spikes.concatenate([inputs, together])
    with EventSimulator(model, workers=2) as simulator:
        records = simulator.run(weights, batch)
    for sample in range(batch.n_samples):
        one = batch.select(sample, sample + 1)
        expected = by_root_finder(weights, one, thresholds, deltas)
        for record, spikes in zip(records, expected, strict=True):
            found = record.select(sample, sample + 1)
            np.testing.assert_array_equal(found.neuron, [s[3] for s in spikes])
            np.testing.assert_allclose(
                found.time, [s[0] for s in spikes], rtol=0, atol=1e-12
            )
    for record in records:
        blocks_of(record.neuron, record.n_neurons, 16)


EIGHT_MODES = ExponentialModes(
    tau=tuple(0.004 * 1.7**k for k in range(8)),
    synaptic=(0.3, -0.5, 0.1, 0.2, -0.3, 0.4, -0.1, 0.2),
    reset=(-0.4, 0.0, 0.15, -0.1, 0.0, -0.2, 0.1, -0.05),
)


@pytest.mark.cpp
@pytest.mark.parametrize("modes", [TWO_MODES, THREE_MODES, EIGHT_MODES])
@pytest.mark.parametrize("n_post", [5, 13, 25, 45, 70, 150])
def test_gradients_of_any_width_equal_the_sum_over_all_pairs(n_post, modes):
    """Blocks of each width, one and several, none of them full; a silent sample."""
    rng = np.random.default_rng(n_post)
    n_pre, dt, n_steps = 12, 0.002, 50
    counts = [(20, 70), (0, 0), (25, 60), (15, 75)]
    samples = [
        [
            random_inputs(rng, n_in, n_pre, dt, n_steps),
            random_layer(rng, n_out, n_post, dt, n_steps, "grid"),
        ]
        for n_in, n_out in counts
    ]
    pre, post = zip(*samples, strict=True)
    for size in (8, 16, 32) if n_post < 100 else (32,):
        fired = np.array([spike.neuron for sample in post for spike in sample])
        blocks_of(fired, n_post, size)
    weight = rng.normal(size=(n_pre, n_post)).astype(np.float32)
    grads = [rng.normal(size=n_out) for _, n_out in counts]
    expected = [
        network_gradient(
            sample,
            [np.zeros(len(sample[0])), grad],
            [weight.astype(float)],
            pairs(modes.synaptic, modes),
            pairs(modes.reset, modes),
            SLOPE_MIN,
        )
        for sample, grad in zip(samples, grads, strict=True)
    ]
    total = sum(grad_weights[0] for grad_weights, _ in expected)
    arrivals = np.concatenate([grad_inputs for _, grad_inputs in expected])
    # Sums of terms of both signs have the rounding of the largest.
    for dtype, rtol in ((torch.float64, 1e-11), (torch.float32, 2e-5)):
        found = kernel.layer_gradient(
            arrivals_of(pre),
            crossings_of(post),
            torch.from_numpy(np.concatenate(grads)),
            torch.from_numpy(weight).to(dtype),
            modes,
            slope_min=SLOPE_MIN,
            n_threads=2,
        )
        for value, reference in ((found.weight, total), (found.arrival, arrivals)):
            np.testing.assert_allclose(
                value.numpy(), reference, rtol=0, atol=rtol * np.abs(reference).max()
            )


@pytest.mark.parametrize("dt_ms", [0, 1, 7])
def test_hundreds_of_samples_with_all_grey_levels_are_encoded(dt_ms):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 12), np.uint8)
    assert len(np.unique(images)) == 256
    spikes = encode_both_ways(images, dt_ms)
    expected = slow_spikes(images, dt_ms)
    assert spikes.sample.tolist() == [sample for sample, _, _ in expected]
    assert spikes.neuron.tolist() == [neuron for _, _, neuron in expected]


def encode_both_ways(images, dt_ms):
    """Return the spikes of images as bytes, which those as floats must equal."""
    model = make_encoder(dt_ms)
    spikes = bsnn.encode_ttfs(images, model)
    floats = bsnn.encode_ttfs(images.astype(float), model)
    np.testing.assert_array_equal(spikes.neuron, floats.neuron)
    np.testing.assert_array_equal(spikes.offset, floats.offset)
    np.testing.assert_array_equal(spikes.arrival, floats.arrival)
    return spikes


class Counts:
    """What is added: the labels, and the spikes of each sample and output."""

    def __init__(self):
        self.labels, self.counts = [], []

    def seen(self, layers):
        return [layer.record for layer in layers]

    def add(self, records, labels):
        self.labels += labels.tolist()
        self.counts += records[-1].counts().tolist()

    def summary(self):
        return {}

    def confidence(self):
        return ()


def digits_network():
    model = study_model([64, 20, 10], [0.1, 0.2], dt=0 * ms)
    return SpikingNetwork(model, seed=1, workers=2, n_threads=2)


@pytest.mark.cpp
@pytest.mark.parametrize("batch_size", [1, 7, 25, 49, 50, 51])
def test_batches_encoded_and_measured_together_are_those_asked_for(batch_size):
    """Small batches go to another thread together, up to 50 samples."""
    digits = bsnn.load_dataset("digits")
    order = np.random.default_rng(0).permutation(len(digits.train_images))[:120]
    batches = np.split(order, range(batch_size, len(order), batch_size))
    loss, found = SpikeCountLoss(), Counts()
    with digits_network() as network, digits_network() as plain:
        metrics = train_epoch(
            network,
            loss,
            torch.optim.Adam(network.parameters(), lr=0.01),
            digits.samples("train", bsnn.encode_ttfs, network.model),
            batches,
            progress=EpochProgress(found),
        )
        optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
        expected, total = Counts(), 0.0
        for batch in batches:
            labels = digits.train_labels[batch]
            layers = plain(bsnn.encode_ttfs(digits.train_images[batch], plain.model))
            value = loss(layers, labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(batch)
            expected.add([layer.record for layer in layers], labels)
        assert found.labels == expected.labels and found.counts == expected.counts
        assert np.sum(found.counts) > 0
        for one, other in zip(network.weights, plain.weights, strict=True):
            assert torch.equal(one, other)
    np.testing.assert_allclose(metrics["loss"], total / len(order), rtol=1e-12)


@pytest.mark.cpp
@pytest.mark.parametrize("n_samples", [1, 500, 501, 1050])
def test_evaluations_of_any_size_equal_those_sample_by_sample(n_samples):
    digits = bsnn.load_dataset("digits")
    images, labels = digits.train_images[:n_samples], digits.train_labels[:n_samples]
    assert len(labels) == n_samples
    loss, found = SpikeCountLoss(), Counts()
    with digits_network() as network, torch.no_grad():
        samples = ImageSamples(images, labels, bsnn.encode_ttfs, network.model)
        metrics, _ = evaluate(network, samples, measured=found, loss=loss)
        parts = np.array_split(np.arange(n_samples), -(-n_samples // 150))
        expected, total = Counts(), 0.0
        for part in parts:
            layers = network(bsnn.encode_ttfs(images[part], network.model))
            total += loss(layers, labels[part]).item() * len(part)
            expected.add([layer.record for layer in layers], labels[part])
    assert found.labels == labels.tolist() and found.counts == expected.counts
    np.testing.assert_allclose(metrics["loss"], total / n_samples, rtol=1e-12)
