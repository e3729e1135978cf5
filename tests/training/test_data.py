"""Batches of torch's DataLoader are those of the samples themselves."""

import numpy as np
import pytest
import torch
from brian2 import ms
from torch.utils.data import DataLoader

import bsnn
from bsnn.inputs.codes.rate import encode_rate
from bsnn.training import EncodedSamples, collate


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 3, 3), np.uint8)
    dataset = bsnn.Dataset(
        name="own",
        title="own",
        train_images=images,
        train_labels=np.arange(10) % 4,
        test_images=images,
        test_labels=np.arange(10) % 4,
        n_classes=4,
    )
    model = bsnn.Model.dense(
        [9, 4],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=1 * ms,
        duration=100 * ms,
    )
    return dataset.samples("train", encode_rate, model)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_loader_gives_the_batches_of_the_samples(samples, n_workers):
    loader = DataLoader(
        EncodedSamples(samples), 4, collate_fn=collate, num_workers=n_workers
    )
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    for k, (spikes, labels) in enumerate(batches):
        places = np.arange(4 * k, min(4 * k + 4, 10))
        expected = samples.spikes(places)
        assert expected.n_spikes > 0
        for name in ("neuron", "step", "offset"):
            assert np.array_equal(getattr(spikes, name), getattr(expected, name))
        assert labels.dtype == torch.int64
        assert labels.tolist() == samples.labels[places].tolist()


def test_one_sample_counts_from_the_end_and_they_end(samples):
    encoded = EncodedSamples(samples)
    assert encoded[-1][1] == samples.labels[9]
    assert len(list(encoded)) == len(encoded) == 10
    with pytest.raises(IndexError):
        encoded[10]


def test_currents_are_put_together_by_name():
    one, two = ({"cells": {"I_stim": np.full((1, 5, 2), float(k))}} for k in range(2))
    inputs, labels = collate([(one, 3), (two, 0)])
    assert inputs["cells"]["I_stim"].shape == (2, 5, 2)
    assert inputs["cells"]["I_stim"][:, 0, 0].tolist() == [0, 1]
    assert labels.tolist() == [3, 0]


def test_what_makes_no_batch_is_named(samples):
    with pytest.raises(ValueError, match="'batch' must hold samples, got none"):
        collate([])
    with pytest.raises(TypeError, match="got Spikes, ndarray"):
        collate([(samples.spikes([0]), 0), (np.zeros((1, 2, 3)), 0)])
    with pytest.raises(TypeError, match="'batch' must hold pairs of .* got list"):
        collate([([0.5], 0)])
