"""What tables and figures call a run."""

import pytest

from bsnn.analysis import read_sweep
from bsnn.analysis.figures.catalogue import draw_all
from bsnn.analysis.report.commands import command_lines
from bsnn.analysis.study.series import rule_name
from bsnn.errors import RunFolderError
from bsnn.presets import PRESETS
from bsnn.settings import Settings
from tests.training.experiments import sweep_folders


def test_crossing_detection_is_a_rule_of_its_own(tmp_path):
    sweep_folders.write_run(tmp_path, dt_ms=1.0, detect="crossing")
    sweep = read_sweep(tmp_path)
    assert sweep.runs.rule.tolist() == ["grid + crossing"]
    (line,) = command_lines(sweep)
    assert "--rules grid " in line and "--detect crossing " in line


@pytest.mark.parametrize(
    "dataset", ["mnist", "fashion-mnist", "emnist", "digits", "yin-yang"]
)
def test_the_defaults_of_a_training_add_nothing_to_its_rule(dataset):
    for preset in PRESETS:
        config = Settings.reference(dataset, preset=preset).config()
        assert rule_name(config) == "grid"


def test_runs_of_two_presets_are_not_drawn_together(tmp_path):
    sweep_folders.write_run(tmp_path, dt_ms=4.0, preset="published")
    sweep_folders.write_run(tmp_path, dt_ms=8.0, preset="default")
    with pytest.raises(RunFolderError, match=r"several presets \(default, published\)"):
        read_sweep(tmp_path)


def test_another_loss_start_or_slope_is_a_series_of_its_own(tmp_path):
    other = [{"spike_penalty": 0.01}, {"true": 8, "false": 2}, {"spike_penalty": 0}]
    other += [{"initial_mean": [0.0, 0.1]}, {"slope_min": 5.0}]
    other += [{"relative_slope_min": 2.0, "slope_min": None, "preset": "published"}]
    for config in other:
        sweep_folders.write_run(tmp_path, dt_ms=4.0, **config)
    sweep = read_sweep(tmp_path)
    rules = [
        "grid",
        "grid, mean 0/0.1",
        "grid, penalty 0.01",
        "grid, relative slope 2",
        "grid, slope 5",
        "grid, targets 8/2",
    ]
    assert sweep.runs.rule.tolist() == rules
    drawings, _ = draw_all(sweep)
    drawn = {drawing.name: drawing.table for drawing in drawings}
    assert drawn["pareto_losses"].rule.tolist() == rules
    assert set(drawn["accuracy_over_dt"].rule) == {"grid"}
    assert set(drawn["confidence"].rule) == set(rules[:2])  # two panels at most
    lines = command_lines(sweep)
    assert any("--spike-penalty 0.01 " in line for line in lines)
    assert any("--true 8 --false 2 " in line for line in lines)
    assert any("--initial-mean 0.0 0.1 " in line for line in lines)
    assert any("--slope-min 5.0" in line for line in lines)
    assert any("--relative-slope-min 2.0" in line for line in lines)


def test_estimators_are_series_beside_the_plain_one(tmp_path):
    for name in ("straight-through", "triangle", "straight-through-end"):
        run = sweep_folders.write_run(tmp_path, estimator=name)
        run.path.rename(run.path.with_name(name))
    sweep = read_sweep(tmp_path)
    rules = ["grid", "grid, straight-through-end", "grid, triangle"]
    assert sweep.runs.rule.tolist() == rules
    drawings, _ = draw_all(sweep)
    drawn = {drawing.name: drawing.table for drawing in drawings}
    assert set(drawn["accuracy_over_dt"].rule) == set(rules)
    assert any("--estimator triangle" in line for line in command_lines(sweep))


def test_an_unknown_estimator_is_refused(tmp_path):
    sweep_folders.write_run(tmp_path, estimator="exact")
    with pytest.raises(RunFolderError, match="has the unknown estimator 'exact'"):
        read_sweep(tmp_path)
