"""Sweep folders into figures; and why some cannot be drawn."""

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis import make_figures, read_sweep
from bsnn.analysis.figures.catalogue import draw_all
from bsnn.errors import RunFolderError
from tests.training.experiments import sweep_folders
from tests.training.experiments.sweep_folders import FIGURES


@pytest.fixture(scope="module")
def drawn(sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures") / "out"
    folder, load_weights = sweep
    return out, *make_figures(folder, out, load_weights=load_weights)


def test_every_figure_is_drawn(drawn):
    out, written, skipped = drawn
    assert list(skipped) == ["pareto_losses"]
    expected = {f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "csv")}
    assert {path.name for path in out.iterdir()} == expected
    assert set(written) == set(out.iterdir())


def test_plotted_numbers_are_means_over_seeds(drawn):
    table = pd.read_csv(drawn[0] / "accuracy_over_dt.csv")
    for at, epoch in (("best", 0), ("last", 1)):
        row = table[(table.epoch == at) & (table.rule == "grid") & (table.dt_ms == 8)]
        values = [sweep_folders.accuracies(8, seed)[epoch] for seed in (0, 1)]
        assert row.accuracy.item() == pytest.approx(np.mean(values), rel=1e-12)
        assert row.accuracy_sd.item() == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        assert row.n_seeds.item() == 2


def test_confidence_is_of_the_last_epoch(drawn):
    table = pd.read_csv(drawn[0] / "confidence.csv")
    line = table[(table.rule == "grid") & (table.dt_ms == 1)]
    curves = [
        sweep_folders.confidence_at(sweep_folders.TIMES_MS, 1, seed) for seed in (0, 1)
    ]
    np.testing.assert_allclose(line.confidence, np.mean(curves, axis=0), rtol=1e-12)


def test_transfer_leaves_continuous_training_out(drawn):
    table = pd.read_csv(drawn[0] / "transfer.csv")
    assert set(table.rule) == {"grid", "quantised-event"}
    pair = table[(table.rule == "grid") & (table.dt_ms == 8) & (table.test_dt_ms == 1)]
    assert pair.accuracy.item() == pytest.approx(0.61, rel=1e-12)
    assert sorted(table.test_dt_ms.unique()) == [0, 0.5, 1, 8]


def test_example_is_the_grid_run_near_one_millisecond(drawn):
    raster = pd.read_csv(drawn[0] / "raster.csv")
    assert raster.time_ms.min() == pytest.approx(11.0)  # the other runs begin later
    counts = raster.groupby("layer").size()
    assert counts.tolist() == [3 * size for size in sweep_folders.SIZES]
    membrane = pd.read_csv(drawn[0] / "membrane.csv")
    assert set(membrane.layer) == {"hidden", "output"}
    output = membrane[membrane.layer == "output"]
    assert sweep_folders.LABELS[0] in set(output.neuron)
    assert (output.v_threshold == 0.5).all()


def test_figures_that_the_data_do_not_allow_say_why(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    (run.path / "confidence.csv").unlink()
    drawings, skipped = draw_all(read_sweep(tmp_path))
    assert [d.name for d in drawings] == [
        "accuracy_over_dt",
        "spikes_over_dt",
        "training",
    ]
    assert skipped == {
        "pareto": "it needs two cells (time steps or rules)",
        "pareto_losses": "no run has a spike penalty or other targets beside those "
        "without",
        "decision": "it needs two cells with a time to a stable decision",
        "confidence": "no run has a confidence.csv",
        "transfer": "no run was evaluated at other time steps; "
        "do so with 'bsnn evaluate RUN --dt-ms ...'",
        "one_neuron": "no one_neuron.csv in the folder; "
        "make it with 'bsnn one-neuron STUDY'",
        "raster": "no run has a spikes.npz",
        "membrane": "no run has a spikes.npz",
    }


def test_continuous_runs_alone_have_no_time_step_axis(tmp_path):
    sweep_folders.write_run(tmp_path, rule="continuous", dt_ms=0)
    drawings, skipped = draw_all(read_sweep(tmp_path))
    assert [d.name for d in drawings] == ["confidence", "training"]
    assert skipped["accuracy_over_dt"] == "it needs a time step above 0"


def test_one_run_folder_is_a_sweep_of_one(sweep):
    folder, load_weights = sweep
    one = read_sweep(folder / "digits_grid_dt1_seed0", load_weights=load_weights)
    assert one.runs.run.tolist() == ["digits_grid_dt1_seed0"]
    drawings, _ = draw_all(one)
    assert {"raster", "membrane"} <= {d.name for d in drawings}


def test_a_checkpoint_that_cannot_be_read_costs_one_figure(sweep):
    def load_weights(path):
        raise RunFolderError(f"{path} is of another version")

    drawings, skipped = draw_all(read_sweep(sweep[0], load_weights=load_weights))
    assert skipped["membrane"].endswith("is of another version")
    assert {d.name for d in drawings} == set(FIGURES) - {"membrane"}


def test_every_panel_shows_data_and_says_of_what(sweep):
    folder, load_weights = sweep
    drawings, _ = draw_all(read_sweep(folder, load_weights=load_weights))
    for drawing in drawings:
        if drawing.name != "one_neuron":  # which is of no data set
            assert "digits" in drawing.figure.get_suptitle(), drawing.name
        panels = [ax for ax in drawing.figure.axes if ax.get_label() != "<colorbar>"]
        for ax in panels:
            assert ax.has_data(), f"{drawing.name} has a panel without data"
            assert ax.get_xlabel(), f"{drawing.name} has an axis without a name"
        assert panels[0].get_ylabel(), drawing.name
