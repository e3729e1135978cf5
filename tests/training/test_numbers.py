"""A training with NaN stops and says where; silence is told; states stay finite."""

import logging

import numpy as np
import pytest
import torch
from brian2.units import ms

import bsnn
from bsnn import runs
from bsnn.errors import NumbersError
from bsnn.simulators.base import LARGEST_WEIGHT, check_weights
from bsnn.training import from_settings
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.spiking_network import SpikingNetwork
from tests.models import study_model
from tests.reliability.kill_training import BATCH_SIZE, N_TRAIN, train_digits

pytestmark = [pytest.mark.cpp]


def test_a_nan_gradient_stops_before_it_is_saved(tmp_path, monkeypatch):
    class SpoiledLoss(from_settings.SpikeCountLoss):
        calls = 0

        def __call__(self, layers, labels):
            self.calls += 1
            value = super().__call__(layers, labels)
            return value * float("nan") if self.calls == 20 else value

    monkeypatch.setattr(from_settings, "SpikeCountLoss", SpoiledLoss)
    # 15 batches and a validation an epoch: the 20th call is batch 4 of epoch 2.
    words = "epoch 2, batch 4: the gradient of layer 2 must be finite.*learning rate"
    with pytest.raises(NumbersError, match=words):
        train_digits(tmp_path)
    state = load_checkpoint(runs.RunFolder(tmp_path))
    assert (state["epoch"], state["within"]["batch"]) == (1, 3)
    assert all(torch.isfinite(weight).all() for weight in state["weights"])


def test_a_nan_of_the_first_layer_is_told_from_one_of_the_loss(tmp_path, monkeypatch):
    zero_grad = SpikingNetwork.zero_grad

    def spoil(network):
        zero_grad(network)
        network.weights[0].register_hook(lambda gradient: gradient * float("inf"))

    monkeypatch.setattr(SpikingNetwork, "zero_grad", spoil)
    with pytest.raises(NumbersError, match="the gradient of layer 1 must be finite"):
        train_digits(tmp_path)


@pytest.mark.parametrize(
    ("batch_size", "where"),
    [
        (BATCH_SIZE, "epoch 1, after batch 1"),  # where it would be saved
        (N_TRAIN, "epoch 1, after its last batch"),  # where it would be tested
    ],
)
def test_weights_that_grow_without_bound_stop(batch_size, where, tmp_path):
    words = rf"{where}: 'weights' of layer 1 must be finite.*learning rate"
    with pytest.raises(NumbersError, match=words):
        train_digits(tmp_path, learning_rate=1e25, batch_size=batch_size)
    assert not (tmp_path / runs.CHECKPOINT).exists()


def test_the_largest_weights_leave_all_states_finite():
    model = study_model([64, 128, 10], [0.1, 0.2], dt=4 * ms)
    shapes = model.weight_shapes
    signs = np.random.default_rng(0)
    weights = [
        np.float32(0.999 * LARGEST_WEIGHT) * signs.choice([-1, 1], shape).astype("f4")
        for shape in shapes
    ]
    images = bsnn.load_dataset("digits").test_images[:4]
    with bsnn.make_simulator(model, workers=1) as simulator:
        layers = simulator.run(weights, bsnn.encode_ttfs(images, model))
        assert all(layer.n_spikes for layer in layers)
        for layer in layers:
            assert np.isfinite(layer.state["v"]).all()
            assert np.isfinite(layer.state["i_syn"]).all()
        weights[1][3, 5] = LARGEST_WEIGHT
        words = r"'weights' of layer 2 must be finite and below 1e\+18, got 1 values"
        with pytest.raises(NumbersError, match=words):
            simulator.run(weights, bsnn.encode_ttfs(images, model))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e19, -1e30])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_one_unsound_weight_is_found(value, kind):
    weight = np.zeros((3, 2), kind)
    weight[2, 0] = value
    with pytest.raises(NumbersError, match="got 1 values"):
        check_weights(weight, (3, 2), "layer 1")


def test_silent_outputs_and_layers_are_told_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="bsnn"):
        train_digits(tmp_path, v_threshold=(0.1, 1e6), initial_drive=0.0)
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(";")[0] for text in said] == [
        "epoch 1: 10 outputs fire for no validation sample: their labels are lost",
        "epoch 1: 1 layers fire for no validation sample",
    ]
    table = runs.RunFolder(tmp_path).metrics()
    tests = table[table.split == "test"]
    assert tests.dead_labels.tolist() == [10] * len(tests)
    assert tests.silent_layers.tolist() == [1] * len(tests)
