"""A training with NaN stops and says where; its checkpoint stays finite."""

import pytest
import torch

import bsnn.training.settings as settings
from bsnn import runs
from bsnn.errors import NumbersError
from bsnn.training.checkpoint import load_checkpoint

from .kill_training import train_digits

pytestmark = [pytest.mark.cpp]


def test_a_nan_gradient_stops_before_it_is_saved(tmp_path, monkeypatch):
    class SpoiledLoss(settings.SpikeCountLoss):
        calls = 0

        def __call__(self, layers, labels):
            self.calls += 1
            value = super().__call__(layers, labels)
            return value * float("nan") if self.calls == 12 else value

    monkeypatch.setattr(settings, "SpikeCountLoss", SpoiledLoss)
    # Eight batches and one test an epoch: the twelfth call is batch 3 of epoch 2.
    words = "epoch 2, batch 3: the gradient of layer 1 must be finite.*learning rate"
    with pytest.raises(NumbersError, match=words):
        train_digits(tmp_path)
    state = load_checkpoint(runs.RunFolder(tmp_path))
    assert (state["epoch"], state["within"]["batch"]) == (1, 2)
    assert all(torch.isfinite(weight).all() for weight in state["weights"])
