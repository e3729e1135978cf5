"""What stands for the derivative of a spike, chosen by name."""

from dataclasses import replace

import numpy as np
import pytest

import bsnn
from bsnn import run_settings
from bsnn.chain import chain_network
from bsnn.equations import estimators
from bsnn.model_file import ModelFile
from bsnn.network_settings import NetworkSettings
from bsnn.settings import Settings
from bsnn.training import (
    DerivedNetwork,
    SpikeCountLoss,
    SpikingNetwork,
    StraightThrough,
    Surrogate,
)
from bsnn.training.experiments.sweep import cell_name, make_cells
from bsnn.training.from_settings import make_loss, make_network


def settings(**changes):
    return Settings.reference("digits", **{"dt_ms": 2.0, "workers": 1, **changes})


@pytest.fixture(scope="module")
def digits():
    return bsnn.load_dataset("digits")


def gradients(network, loss, inputs, labels):
    network.zero_grad()
    layers = network(inputs)
    loss(layers, labels).backward()
    return layers, [weight.grad.numpy().copy() for weight in network.weights]


def test_settings_name_all_estimators():
    assert run_settings.ESTIMATORS == estimators.NAMES
    for name in estimators.NAMES:
        kind = StraightThrough if name.startswith("straight") else Surrogate
        assert isinstance(estimators.named(name), kind)
    assert estimators.named("straight-through-linear").crossing == "linear"
    assert settings().make_estimator() == StraightThrough()
    chosen = settings(estimator="gaussian", surrogate_width=0.3, surrogate_height=2.0)
    assert chosen.make_estimator() == Surrogate("gaussian", width=0.3, height=2)
    capped = settings(slope_cap=4.0).make_estimator()
    assert capped == StraightThrough(slope_cap=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "exact"}, "'estimator' must be one of straight-through, "),
        ({"surrogate_width": 0.3}, "'surrogate_width' does not belong to the estimat"),
        ({"estimator": "arctan", "slope_cap": 2.0}, "'slope_cap' does not belong to"),
        ({"slope_cap": 0.5}, "'slope_cap' must be 1 or more"),
        (
            {"estimator": "arctan", "rule": "quantised-event"},
            "(?s)under the rule 'quantised-event', got .arctan.: it finds each",
        ),
        ({"estimator": "straight-through-end", "dt_ms": 0}, "under the rule 'continu"),
        ({"estimator": "arctan", "detect": "crossing"}, "'detect' must be 'end' with"),
        (
            {"estimator": "arctan", "device": "cuda"},
            "'device' must be .cpp. with",
        ),
        (
            {"estimator": "arctan", "preset": "published"},
            "'slope_min' must be left out with a surrogate",
        ),
    ],
)
def test_what_an_estimator_cannot_do_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surrogate_width": 0.3}, "'surrogate_width' does not belong to the estimat"),
        ({"estimator": "arctan", "slope_cap": 2.0}, "'slope_cap' does not belong to"),
        ({"slope_cap": 0.5}, "'slope_cap' must be 1 or more"),
    ],
)
def test_a_network_of_ones_own_refuses_them_when_they_are_set(changes, message):
    """Not hours later, after its data are read."""
    with pytest.raises(ValueError, match=message):
        NetworkSettings(dataset="digits", model_file=ModelFile("own", ""), **changes)


def test_an_estimator_is_an_axis_of_a_sweep():
    base = settings()
    names = ["straight-through", "triangle"]
    cells = make_cells(base, dt_ms=[1, 2], rules=["grid"], seeds=[0], estimators=names)
    assert list(cells) == [
        "digits_grid_dt1_seed0",
        "digits_grid_dt1_triangle_seed0",
        "digits_grid_dt2_seed0",
        "digits_grid_dt2_triangle_seed0",
    ]
    assert [c.estimator for c in cells.values()] == names * 2
    wide = replace(base, estimator="triangle", surrogate_width=0.5)
    assert cell_name(wide) == "digits_grid_dt2_triangle_width0.5_seed0"
    assert wide.simulated() == base


@pytest.mark.cpp
@pytest.mark.parametrize(
    "estimator",
    [
        StraightThrough("linear"),
        StraightThrough("end"),
        StraightThrough(slope_cap=1.5),
    ],
)
def test_the_fast_kernel_and_the_derived_adjoint_agree(digits, estimator):
    model = settings(precision="double").model()
    graph = chain_network(model)
    inputs = bsnn.encode_ttfs(digits.train_images[:12], model)
    labels, loss = digits.train_labels[:12], SpikeCountLoss(spike_penalty=0.1)
    floors = {part.name: 3.0 for part in graph.groups}
    found = {}
    options = {"precision": "double", "workers": 1, "estimator": estimator}
    with SpikingNetwork(model, seed=3, slope_min=3.0, **options) as network:
        named = [c.name for c in graph.connections]
        start = [weight.detach().numpy() for weight in network.weights]
        weights = dict(zip(named, start, strict=True))
        found["kernel"] = gradients(network, loss, inputs, labels)[1]
        plain = SpikingNetwork(model, seed=3, slope_min=3.0, precision="double")
        with plain:
            found["exact"] = gradients(plain, loss, inputs, labels)[1]
        for gradient in ("modes", "adjoint"):
            with DerivedNetwork(
                graph, weights=weights, gradient=gradient, slope_min=floors, **options
            ) as derived:
                activity = derived(inputs)
                loss([activity[p.name] for p in graph.groups], labels).backward()
                found[gradient] = [
                    c.weight.grad.numpy() for c in derived.connections.values()
                ]
    for layer, expected in enumerate(found["kernel"]):
        largest = np.abs(expected).max()
        for gradient in ("modes", "adjoint"):
            difference = np.abs(found[gradient][layer] - expected).max()
            assert difference < 1e-10 * largest, gradient
        assert np.abs(found["exact"][layer] - expected).max() > 1e-4 * largest


@pytest.mark.cpp
@pytest.mark.parametrize("dt_ms", [2.0, 12.0])  # the last step is not whole
def test_surrogates_see_the_same_spikes_and_move_silent_neurons(digits, dt_ms):
    """They learn where spike times do not: weights of neurons that never fire."""
    found = {}
    for name in ("straight-through", "triangle"):
        chosen = settings(estimator=name, dt_ms=dt_ms, initial_drive=0.4)
        model = chosen.model()
        inputs = bsnn.encode_ttfs(digits.train_images[:20], model)
        with make_network(chosen, model) as network:
            loss = make_loss(chosen, chosen.readout(model))
            found[name] = gradients(network, loss, inputs, digits.train_labels[:20])
    (one, exact), (other, smooth) = found.values()
    for layer, same in zip(one, other, strict=True):
        for part in ("step", "neuron", "offset"):
            np.testing.assert_array_equal(
                getattr(layer.record, part), getattr(same.record, part)
            )
    silent = one[0].record.counts().sum(0) == 0
    assert 0 < silent.sum() < len(silent)
    assert (exact[0][:, silent] == 0).all()
    assert np.abs(smooth[0][:, silent]).max() > 0


@pytest.mark.cpp
def test_a_network_refuses_an_estimator_that_is_not_its_own():
    model = settings().model()
    with pytest.raises(TypeError, match="surrogate gradients are those of a Network"):
        SpikingNetwork(model, estimator=Surrogate())
    exact = settings(rule="quantised-event").model()
    with pytest.raises(ValueError, match="but the rule 'quantised-event' finds them"):
        SpikingNetwork(exact, estimator=StraightThrough("end"))
