"""An epoch takes samples of any kind: it knows no images."""

import numpy as np
import pytest
import torch

import bsnn
from bsnn.settings import Settings
from bsnn.training import SpikeCountLoss, SpikingNetwork
from bsnn.training.experiments.epoch import evaluate, train_epoch
from bsnn.training.experiments.progress import EpochProgress
from tests.simulators.test_sizes import Counts

pytestmark = pytest.mark.cpp

N_SAMPLES, BATCH_SIZE = 120, 20


class Recorded:
    """Samples that were spikes from the beginning, as those of a silicon retina are."""

    def __init__(self, spikes, labels):
        self._spikes, self.labels = spikes, labels

    def __len__(self):
        return len(self.labels)

    def spikes(self, indices):
        chosen = [self._spikes.select(at, at + 1) for at in indices]
        return bsnn.Spikes.concatenate(chosen)


def test_samples_need_not_be_images():
    settings = Settings.reference("digits", dt_ms=2.0)
    digits, model = bsnn.load_dataset("digits").head(N_SAMPLES), settings.model()
    images = digits.samples("train", settings.encode, model)
    recorded = Recorded(images.spikes(np.arange(N_SAMPLES)), images.labels)
    order = np.random.default_rng(0).permutation(N_SAMPLES)
    batches = np.split(order, range(BATCH_SIZE, N_SAMPLES, BATCH_SIZE))
    ends = []
    for samples in (images, recorded):
        found = Counts()
        with SpikingNetwork(model, seed=3, workers=1) as network:
            optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
            progress = EpochProgress(Counts())
            trained = train_epoch(
                network,
                SpikeCountLoss(),
                optimizer,
                samples,
                batches,
                progress=progress,
            )
            evaluate(network, samples, measured=found)
            weights = [weight.detach().clone() for weight in network.weights]
        ends.append((weights, trained["loss"], progress.measured.counts, found.counts))
    (weights, *rest), (others, *other_rest) = ends
    assert all(map(torch.equal, weights, others)) and rest == other_rest
    assert np.sum(found.counts) > 0
