"""Sweep folders into tables; and what damaged ones say."""

import pytest

from bsnn.analysis import make_figures, read_sweep
from bsnn.analysis.study import published
from bsnn.analysis.study.rows import read_config
from bsnn.errors import RunFolderError
from tests.training.experiments import sweep_folders


def spoil_config(run):
    (run.path / "config.json").write_text("{")


def spoil_config_values(run):
    run.write_json("config.json", {"dataset": "digits"})


def spoil_time_step(run):
    run.write_json("config.json", {**run.config(), "dt_ms": None})


def spoil_numbers(run):
    (run.path / "confidence.csv").write_text("epoch,time_ms,confidence\n1,x,0.5\n")


def spoil_rule(run):
    run.write_json("config.json", {**run.config(), "rule": "guess"})


def spoil_rule_with_a_list(run):
    run.write_json("config.json", {**run.config(), "rule": ["grid"]})


def spoil_summary(run):
    (run.path / "summary.json").write_text("[1]")


def spoil_summary_values(run):
    summary = run.summary()
    del summary["best"]["accuracy"]
    run.write_json("summary.json", summary)


def spoil_confidence(run):
    (run.path / "confidence.csv").write_text("epoch,time_ms\n1,2\n")


def spoil_evaluations(run):
    (run.path / "evaluations.csv").write_text("rule,dt_ms,accuracy\ngrid,x,0.5\n")


def test_a_seed_of_64_bits_is_read(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    run.write_json("config.json", {**run.config(), "seed": 2**63 - 1})
    assert read_config(run.path)["seed"] == 2**63 - 1
    run.write_json("config.json", {**run.config(), "seed": 2**63})
    with pytest.raises(RunFolderError, match=f"has seed = {2**63}"):
        read_config(run.path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_config, r"config\.json"),
        (spoil_config_values, r"config\.json lacks rule, detect, dt_ms, seed, epochs"),
        (spoil_rule, r"config\.json has the unknown rule 'guess'"),
        (spoil_rule_with_a_list, r"has the unknown rule \['grid'\]"),
        (spoil_time_step, r"config\.json has dt_ms = None"),
        (spoil_numbers, r"confidence\.csv holds no numbers"),
        (spoil_summary, r"summary\.json"),
        (spoil_summary_values, r"summary\.json lacks a value \(KeyError\('accuracy'\)"),
        (spoil_confidence, r"confidence\.csv.* confidence"),
        (spoil_evaluations, r"evaluations\.csv holds no numbers"),
    ],
)
def test_damaged_run_folders_are_named(tmp_path, spoil, message):
    sweep_folders.write_run(tmp_path, dt_ms=1.0)
    spoil(sweep_folders.write_run(tmp_path, dt_ms=2.0))
    with pytest.raises(RunFolderError, match=message) as caught:
        make_figures(tmp_path, tmp_path / "figures")
    assert "digits_grid_dt2_seed0" in str(caught.value)
    assert not (tmp_path / "figures").exists()


def test_folders_without_results_are_refused(tmp_path):
    with pytest.raises(RunFolderError, match="there is no such folder"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="it holds no runs"):
        read_sweep(tmp_path)
    run = sweep_folders.write_run(tmp_path)
    (run.path / "summary.json").unlink()
    with pytest.raises(RunFolderError, match="none of its 1 runs has finished"):
        read_sweep(tmp_path)


def test_several_data_sets_need_a_choice(tmp_path):
    for dataset in ("digits", "yin-yang"):
        sweep_folders.write_run(tmp_path, dataset=dataset)
    with pytest.raises(RunFolderError, match=r"data sets \(digits, yin-yang\)"):
        read_sweep(tmp_path)
    assert read_sweep(tmp_path, "yin-yang").dataset == "yin-yang"
    with pytest.raises(RunFolderError, match="none of its runs is on 'mnist'"):
        read_sweep(tmp_path, "mnist")


def test_runs_of_one_cell_must_differ_in_the_seed_alone(tmp_path):
    first = sweep_folders.write_run(tmp_path, seed=0)
    sweep_folders.write_run(tmp_path, seed=1, batch_size=5)
    with pytest.raises(RunFolderError, match="differ in 'batch_size'"):
        read_sweep(tmp_path)
    first.write_json("config.json", {**first.config(), "seed": 1})
    with pytest.raises(RunFolderError, match="of the same cell and seed"):
        read_sweep(tmp_path)


def test_runs_on_a_part_of_the_samples_do_not_stand_beside_published_ones(tmp_path):
    for name, options in (("whole", {}), ("part", {"n_train": 12000})):
        (tmp_path / name).mkdir()
        sweep_folders.write_run(tmp_path / name, dataset="mnist", **options)
    whole, part = (read_sweep(tmp_path / name) for name in ("whole", "part"))
    assert set(published.with_published(whole).source) == {"bsnn", "published"}
    assert set(published.with_published(part).source) == {"bsnn"}
