"""Results as tables of text."""

import re

from bsnn.analysis import read_sweep
from bsnn.analysis.figures import accuracy
from bsnn.analysis.report import results
from bsnn.analysis.study import published
from tests.training.experiments import sweep_folders


def test_published_runs_stand_beside_ours_of_the_same_data_set(tmp_path):
    sweep_folders.write_run(tmp_path, dataset="mnist", dt_ms=1.0)
    sweep = read_sweep(tmp_path)
    table = published.with_published(sweep)
    assert set(table.source) == {"bsnn", "published"}
    assert set(table.dataset) == {"mnist"}
    # On the grid there is nothing published: nothing to compare cell by cell.
    assert results.comparison_table(sweep.runs, "mnist").empty


def test_comparison_pairs_cells_of_the_same_rule(tmp_path):
    for seed in (0, 1):
        sweep_folders.write_run(
            tmp_path, dataset="mnist", rule="quantised-event", dt_ms=8.0, seed=seed
        )
    table = results.comparison_table(read_sweep(tmp_path).runs, "mnist")
    row = table.iloc[0].to_dict()
    # Ours: 82.0 and 82.2 %, then 80.0 and 80.4 %; 60 and 61 spikes.
    assert (row["dt (ms)"], row["rule"]) == ("8", "quantised-event")
    assert row["best (%), bsnn"] == "82.10 ± 0.14"
    assert row["last (%), bsnn"] == "80.20 ± 0.28"
    assert row["last spikes, bsnn"] in ("60 ± 1", "61 ± 1")
    assert row["best spikes, bsnn"] == row["last spikes, bsnn"]
    assert row["best (%), published"].startswith("84.21 ±")
    assert row["last (%), published"].startswith("57.51 ±")
    assert row["last spikes, published"].startswith("791 ±")
    assert len(table) == 1


def test_console_table_by_hand(sweep):
    lines = results.console_table(read_sweep(sweep[0]).runs).splitlines()
    assert re.split(r"\s{2,}", lines[0].strip())[0].startswith("dt (ms)")
    assert len(lines) == 1 + 7
    (line,) = [x for x in lines if re.match(r"\s*8 +grid ", x)]
    # Seeds 0 and 1: best 82.0, 82.2; last 80.0, 80.4; 40 and 41 hidden spikes.
    for text in (
        "82.10 ± 0.14",
        "80.20 ± 0.28",
        "40.5 ± 0.7",
        "20.0 ± 0.0",
        "190.0 ± 0.0",
        "25.0 ± 0.0",
    ):
        assert text in line


def test_a_level_that_one_seed_never_reached_is_a_dash(sweep, monkeypatch):
    monkeypatch.setattr(results, "LATENCY_LEVEL", 0.9)
    table = results.results_table(read_sweep(sweep[0]).runs)
    assert set(table["latency 0.9 (ms)"]) == {"–"}


def test_results_table_by_hand(sweep):
    table = results.results_table(read_sweep(sweep[0]).runs)
    rules = table[["dt (ms)", "rule"]].to_numpy().tolist()
    assert len(rules) == 7 and ["0.5", "quantised-event"] in rules
    (row,) = table[(table["dt (ms)"] == "8") & (table.rule == "grid")].to_dict(
        "records"
    )
    assert row == {
        **{"dt (ms)": "8", "rule": "grid", "seeds": "2"},
        **{"best (%)": "82.10 ± 0.14", "last (%)": "80.20 ± 0.28"},
        **{"hidden spikes": "40.5 ± 0.7", "output spikes": "20.0 ± 0.0"},
        **{"latency 0.8 (ms)": "190.0 ± 0.0", "silent (%)": "25.0 ± 0.0"},
        "dead labels": "0.0 ± 0.0",
    }


def test_latency_table_by_hand(sweep):
    table = results.latency_table(read_sweep(sweep[0]))
    (row,) = table[(table["dt (ms)"] == "8") & (table.rule == "grid")].to_dict(
        "records"
    )
    # At the end 152/170 and 152/180; the second seed never reaches 0.9.
    assert row == {
        **{"dt (ms)": "8", "rule": "grid", "seeds": "2"},
        **{"confidence 0.5 (ms)": "140.0 ± 0.0", "confidence 0.8 (ms)": "190.0 ± 0.0"},
        **{"confidence 0.9 (ms)": "–", "first output spike (ms)": "45.0 ± 0.0"},
        "stable decision (ms)": "78.5 ± 0.7",
        "confidence at the end": "0.869 ± 0.035",
    }


def test_latency_table_of_a_run_that_measured_decisions(tmp_path):
    run = sweep_folders.write_run(tmp_path)
    decided = {**run.summary(), "decision_ms": 123.45}
    run.write_json("summary.json", decided)
    (row,) = results.latency_table(read_sweep(tmp_path)).to_dict("records")
    assert row["stable decision (ms)"] in ("123.4", "123.5")
    (run.path / "confidence.csv").unlink()
    assert "confidence at the end" not in results.latency_table(read_sweep(tmp_path))


def test_runs_table_by_hand(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=2.0, seed=1)
    run.write_json("summary.json", {**run.summary(), "seconds_per_epoch": 3.25})
    shown = {
        **{"run": "digits_grid_dt2_seed1", "epochs": "2", "tested epoch": "2"},
        **{"best (%)": "88.20", "test (%)": "86.40", "hidden spikes": "41.0"},
        **{"output spikes": "20.0", "s per epoch": "3.2"},
    }
    assert results.runs_table(read_sweep(tmp_path).runs).to_dict("records") == [shown]
    chosen = {"epoch": 1, "accuracy": 0.91}
    run.write_json("summary.json", {**run.summary(), "validation": chosen})
    shown["validation (%)"] = "91.00"
    del shown["best (%)"]
    assert results.runs_table(read_sweep(tmp_path).runs).to_dict("records") == [shown]


def test_front_is_the_cells_that_none_dominates(tmp_path):
    # 88.0, 87.6 and 80.0 % for 60, 61 and 60 spikes.
    sweep_folders.write_run(tmp_path, dt_ms=1.0)
    sweep_folders.write_run(tmp_path, dt_ms=2.0, seed=1)
    sweep_folders.write_run(tmp_path, dt_ms=8.0)
    table = results.front_table(read_sweep(tmp_path))
    assert table.to_dict("records") == [
        {
            **{"source": "bsnn", "rule": "grid", "dt (ms)": "1", "seeds": "1"},
            **{"test (%)": "87.00", "total spikes": "60.0"},
        }
    ]


def test_front_begins_with_the_sparsest_cell_of_each_source(tmp_path):
    # 87.0, 86.4 and 80.0 % for 60, 61 and 60 spikes, beside what is published.
    sweep_folders.write_run(tmp_path, dataset="mnist", dt_ms=2.0)
    sweep_folders.write_run(tmp_path, dataset="mnist", dt_ms=1.0, seed=1)
    table = results.front_table(read_sweep(tmp_path))
    ours = table[table.source == "bsnn"]
    assert ours["dt (ms)"].tolist() == ["2", "1"]
    assert ours["total spikes"].tolist() == ["60.0", "61.0"]
    assert table.source.tolist() == sorted(table.source)
    theirs = table[table.source == "published"]["total spikes"]
    spikes = [float(text.split()[0]) for text in theirs]
    assert spikes and spikes == sorted(spikes)


def test_runs_whose_epoch_validation_chose_show_one_test(tmp_path):
    for seed in (0, 1):
        run = sweep_folders.write_run(tmp_path, seed=seed)
        chosen = {"epoch": 1, "accuracy": 0.91 + 0.02 * seed}
        summary = run.summary()
        run.write_json(
            "summary.json",
            {**summary, "validation": chosen, "best": summary["last"]},
        )
    sweep = read_sweep(tmp_path)
    table = results.results_table(sweep.runs)
    assert table["validation (%)"].tolist() == ["92.00 ± 1.41"]
    assert table["test (%)"].tolist() == ["87.20 ± 0.28"]
    assert "last (%)" not in table
    figure, drawn, caption = accuracy.draw(sweep)
    assert len(figure.axes) == 1 and drawn.epoch.tolist() == ["last"]
    assert "at the epoch that validation chose" in caption
    assert "best" not in caption


def test_gradient_errors_are_shown_by_time_step_and_estimator():
    by = {"run": "a", "weights": "trained", "dt_ms": 8.0, "estimator": "triangle"}

    def of(what, layer="all", **values):
        return {**by, "of": what, "layer": layer, **values}

    rows = [
        # What is of one layer is left out, and what counts say of weights.
        of("weights", layer="1", loss="times", cosine=9, norm_ratio=9, sign_errors=9),
        of("weights", loss="times", cosine=0.75, norm_ratio=1.5, sign_errors=0.125),
        of("spikes", layer="1", loss="times", cosine=8, norm_ratio=8, sign_errors=8),
        of("weights", loss="counts", cosine=0.5, norm_ratio=2.5, sign_errors=0.25),
        of("loss", loss="counts", distance=0.001, slope=3.0, promised=4.0),
        of("loss", loss="counts", distance=0.005, slope=2.0, promised=4.0),
    ]
    head, line = results.gradient_error_table(rows).splitlines()
    columns = ["run", "weights", "dt_ms", "estimator", "cosine", "norm"]
    columns += ["other signs (%)", "slope of counts at 0.001"]
    columns += ["slope of counts at 0.005", "promised"]
    assert re.split(r"\s{2,}", head.strip())[-5:] == columns[-5:]
    assert head.split()[:6] == columns[:6]
    # Three columns of numbers are of the loss of times, the others of that of counts.
    assert line.split() == [
        "a",
        "trained",
        "8",
        "triangle",
        *"0.75 1.5 12.5 3 2 4".split(),
    ]
