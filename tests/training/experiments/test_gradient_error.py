"""Gradients of all estimators beside the exact one, and beside what losses do."""

import shutil

import numpy as np
import pandas as pd
import pytest

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement
from bsnn.analysis.figures.gradient_error import FIGURES, draw
from bsnn.cli.main import main
from bsnn.settings import Settings
from bsnn.training.experiments import gradient_error
from bsnn.training.experiments.gradient_error import (
    COLUMNS,
    _difference,
    common_spikes,
    gradient_errors,
)
from bsnn.training.experiments.loop import train

pytestmark = pytest.mark.cpp


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = runs.RunFolder(tmp_path_factory.mktemp("run") / "digits")
    settings = Settings.reference("digits", dt_ms=2.0, epochs=1, workers=1)
    dataset = bsnn.load_dataset("digits").head(200, 20)
    train(settings, dataset, folder, measurement=Measurement)
    return folder


@pytest.fixture(scope="module")
def table(run):
    names = ["straight-through", "triangle"]
    options = {"n_samples": 20, "n_jitters": 2, "workers": 1, "estimators": names}
    rows = gradient_errors(run, bsnn.load_dataset, dt_ms=[0.1, 8], **options)
    return pd.DataFrame(rows)


def test_straight_through_tends_to_the_exact_gradient(table):
    assert set(table.columns) == set(COLUMNS)
    n_rows = table.groupby(["weights", "dt_ms", "estimator", "of"]).size().unstack()
    assert (n_rows.weights == 2 * 3).all()  # losses, layers
    assert (n_rows.loss == 2).all()  # distances
    by_spike = n_rows.spikes.unstack()
    assert (by_spike["straight-through"] == 2 * 2).all()
    assert by_spike.triangle.isna().all()
    exact = table[(table.estimator == "straight-through") & (table.loss == "times")]
    exact = exact[exact.of == "weights"]
    fine, coarse = exact[exact.dt_ms == 0.1], exact[exact.dt_ms == 8]
    assert (fine.cosine > 0.998).all()
    np.testing.assert_allclose(fine.norm_ratio, 1, rtol=0.05)
    assert (1 - coarse.cosine > 4 * (1 - fine.cosine).to_numpy()).all()
    assert (fine.sign_errors <= coarse.sign_errors.to_numpy()).all()
    smooth = table[(table.estimator == "triangle") & (table.dt_ms == 0.1)]
    smooth = smooth[(smooth.loss == "times") & (smooth.layer == "all")]
    assert (smooth.cosine < 0.995).all() and (smooth.cosine > 0.5).all()


def test_counts_fall_along_every_gradient_at_each_distance(table):
    counts = table[table.of == "loss"]
    assert (counts.slope > 0).all() and (counts.promised > 0).all()
    assert set(counts.distance) == set(gradient_error.DISTANCES)
    near, far = (part.slope.to_numpy() for _, part in counts.groupby("distance"))
    assert (near != far).all()
    columns = ["slope", "promised", "distance"]
    assert table[table.of != "loss"][columns].isna().all(axis=None)


def test_spikes_of_a_small_time_step_are_told_what_the_exact_ones_are(table):
    spikes = table[(table.of == "spikes") & (table.loss == "times")]
    fine, coarse = spikes[spikes.dt_ms == 0.1], spikes[spikes.dt_ms == 8]
    assert (fine.cosine > 0.998).all() and (fine.matched > 0.95).all()
    np.testing.assert_allclose(fine.norm_ratio, 1, rtol=0.05)
    assert (coarse.cosine < fine.cosine.to_numpy()).all()
    assert (coarse.matched < fine.matched.to_numpy()).all()


def test_common_spikes_are_the_same_of_each_neuron():
    def spikes(neuron, step, offset):
        return bsnn.Spikes(neuron=neuron, step=step, offset=offset, n_neurons=3, dt=1.0)

    # Neuron 0 fires twice, then once; neuron 2 only in one of them.
    one = spikes([0, 1, 0, 2, 0], [0, 0, 1, 1, 0], [0, 4, 5])
    other = spikes([0, 1, 1, 0, 1], [0, 1, 2, 0, 1], [0, 3, 5])
    of_one, of_other = common_spikes(one, other)
    assert sorted(zip(of_one.tolist(), of_other.tolist(), strict=True)) == [
        (0, 0),
        (1, 1),
        (4, 3),
    ]


def test_the_slope_is_that_of_the_loss(monkeypatch):
    """Of a quadratic loss, whose smoothed slope is known."""

    class Quadratic:
        model = None

        def __init__(self):
            import torch

            rng = np.random.default_rng(2)
            self.weights = [
                torch.from_numpy(rng.normal(size=shape)) for shape in ((4, 3), (3, 2))
            ]

        def __call__(self, _):
            return self.weights

    measuring = gradient_error._Measuring.__new__(gradient_error._Measuring)
    measuring.n_jitters = 400
    measuring.losses = {
        "counts": lambda weights, _: sum(w.square().sum() for w in weights) / 2
    }
    network = Quadratic()
    before = [w.clone() for w in network.weights]
    gradient = [w.numpy().copy() for w in network.weights]
    norm = np.sqrt(sum((g**2).sum() for g in gradient))
    slope = measuring._slope(network, gradient, None, None, 0.005)
    assert slope == pytest.approx(norm, rel=0.01)
    back = measuring._slope(network, [-g for g in gradient], None, None, 0.005)
    assert back == pytest.approx(-norm, rel=0.01)
    for weight, same in zip(network.weights, before, strict=True):
        assert (weight == same).all()


def test_differences_are_those_of_geometry():
    one, other = [np.array([[3.0, 0.0]])], [np.array([[1.0, 1.0]])]
    found = _difference(one, other)
    assert found["cosine"] == pytest.approx(np.sqrt(0.5))
    assert found["norm_ratio"] == pytest.approx(3 / np.sqrt(2))
    assert found["sign_errors"] == 0.5
    none = _difference([np.zeros((1, 2))], other)
    assert np.isnan(none["cosine"]) and none["norm_ratio"] == 0


@pytest.mark.parametrize("name", list(FIGURES))
def test_figures_show_each_estimator(table, name):
    figure, points, caption = draw(table, name)
    assert len(figure.axes) == 2
    shown = set(table.estimator)
    if name == "spikes":
        shown = {f"{loss}, layer {n}" for loss in ("times", "counts") for n in "12"}
        assert "by straight-through. Surrogates" in caption
    assert set(points.estimator) == shown
    assert caption.endswith(".")
    if name.startswith("descent"):
        assert points["max"].max() == 1
        assert "Over 0.1 %" in caption or "Over 0.5 %" in caption
    if name == "spikes":
        assert (points["mean"] < 1 + 1e-12).all()


def test_the_command_leaves_figures_and_numbers(run, tmp_path, capsys):
    options = "--dt-ms 4 --estimator straight-through --samples 10 --jitters 1"
    options += " --workers 1 --out"
    command = ["gradient-error", str(run.path), *options.split(), str(tmp_path / "out")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "slope of counts" in shown and "gradient_direction.png" in shown
    kept = pd.read_csv(tmp_path / "out" / "gradient_error.csv")
    assert list(kept.columns) == list(COLUMNS)
    assert {"gradient_descent.pdf", "gradient_spikes.png", "gradient_size.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt_ms": [0, 1]}, "'dt_ms' must be positive"),
        ({"distances": [0.1, -1]}, "'distances' must be positive"),
        ({"n_samples": 0}, "'n_samples' must be at least 1"),
        ({"n_samples": 10**6}, "'n_samples' must not exceed the 1442 training samples"),
        ({"estimators": ["exact"]}, "'estimator' must be one of straight-through"),
    ],
)
def test_what_cannot_be_compared_is_refused(run, options, message):
    with pytest.raises(ValueError, match=message):
        list(gradient_errors(run, bsnn.load_dataset, **options))


def test_a_network_of_ones_own_is_refused(tmp_path):
    folder = runs.RunFolder(tmp_path)
    folder.write_json(runs.CONFIG, {"model_file": {"name": "own", "text": ""}})
    with pytest.raises(ValueError, match="which has no exact gradient to compare with"):
        list(gradient_errors(folder, bsnn.load_dataset))


def test_runs_of_another_rule_are_compared_on_the_grid(run, tmp_path):
    """Otherwise one estimator would be of another simulation than the rest."""
    other = runs.RunFolder(tmp_path / "event")
    shutil.copytree(run.path, other.path)
    config = Settings.from_config(run.config(), rule="quantised-event").config()
    other.write_json(runs.CONFIG, config)
    options = {"dt_ms": [4], "n_samples": 10, "n_jitters": 1, "workers": 1}
    options["estimators"] = ["straight-through"]
    found, expected = (
        pd.DataFrame(gradient_errors(folder, bsnn.load_dataset, **options))
        for folder in (other, run)
    )
    pd.testing.assert_frame_equal(
        found.drop(columns="run"), expected.drop(columns="run")
    )
