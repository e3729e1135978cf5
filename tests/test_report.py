"""Sweep folders into figures, tables and one page; and what damaged ones say."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis import figures, report, tables
from bsnn.errors import RunFolderError
from bsnn.runs import RunFolder
from bsnn.training.settings import Settings

from . import sweep_folders

ALL = (
    "pareto",
    "confidence",
    "accuracy_over_dt",
    "spikes_over_dt",
    "transfer",
    "one_neuron",
    "raster",
    "membrane",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A finished sweep, its weights for the example run, and one unfinished run."""
    folder = sweep_folders.write_sweep(tmp_path_factory.mktemp("sweep"))
    for other in ("grid_dt0.5_seed0", "quantised-event_dt1_seed0", "grid_dt1_seed1"):
        sweep_folders.write_example(RunFolder(folder / f"digits_{other}"), start=20)
    weights = sweep_folders.write_example(RunFolder(folder / "digits_grid_dt1_seed0"))
    unfinished = sweep_folders.write_run(folder, dt_ms=4.0)
    (unfinished.path / "summary.json").unlink()
    return folder, lambda path: weights


@pytest.fixture(scope="module")
def drawn(sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures") / "out"
    folder, load_weights = sweep
    return out, *figures.make_figures(folder, out, load_weights=load_weights)


def test_every_figure_is_drawn(drawn):
    out, written, skipped = drawn
    assert list(skipped) == ["pareto_losses"]
    expected = {f"{name}.{kind}" for name in ALL for kind in ("pdf", "png", "csv")}
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
    drawings, skipped = figures.draw(tables.read_sweep(tmp_path))
    assert [d.name for d in drawings] == [
        "accuracy_over_dt",
        "spikes_over_dt",
        "one_neuron",
    ]
    assert skipped == {
        "pareto": "it needs two cells (time steps or rules)",
        "pareto_losses": "no run has a spike penalty or other targets beside those "
        "without",
        "confidence": "no run has a confidence.csv",
        "transfer": "no run was evaluated at other time steps; "
        "do so with 'bsnn evaluate RUN --dt-ms ...'",
        "raster": "no run has a spikes.npz",
        "membrane": "no run has a spikes.npz",
    }


def test_continuous_runs_alone_have_no_time_step_axis(tmp_path):
    sweep_folders.write_run(tmp_path, rule="continuous", dt_ms=0)
    drawings, skipped = figures.draw(tables.read_sweep(tmp_path))
    assert [d.name for d in drawings] == ["confidence"]
    assert skipped["accuracy_over_dt"] == "it needs a time step above 0"


def test_one_run_folder_is_a_sweep_of_one(sweep):
    folder, load_weights = sweep
    one = tables.read_sweep(folder / "digits_grid_dt1_seed0")
    assert one.runs.run.tolist() == ["digits_grid_dt1_seed0"]
    drawings, _ = figures.draw(one, load_weights)
    assert {"raster", "membrane"} <= {d.name for d in drawings}


def test_a_checkpoint_that_cannot_be_read_costs_one_figure(sweep):
    def load_weights(path):
        raise RunFolderError(f"{path} is of another version")

    drawings, skipped = figures.draw(tables.read_sweep(sweep[0]), load_weights)
    assert skipped["membrane"].endswith("is of another version")
    assert {d.name for d in drawings} == set(ALL) - {"membrane"}


def test_published_runs_stand_beside_ours_of_the_same_data_set(tmp_path):
    sweep_folders.write_run(tmp_path, dataset="mnist", dt_ms=1.0)
    sweep = tables.read_sweep(tmp_path)
    table = figures.with_published(sweep)
    assert set(table.source) == {"bsnn", "published"}
    assert set(table.dataset) == {"mnist"}
    # On the grid there is nothing published: nothing to compare cell by cell.
    assert report.comparison_table(sweep.runs, "mnist").empty


def test_comparison_pairs_cells_of_the_same_rule(tmp_path):
    for seed in (0, 1):
        sweep_folders.write_run(
            tmp_path, dataset="mnist", rule="quantised-event", dt_ms=8.0, seed=seed
        )
    table = report.comparison_table(tables.read_sweep(tmp_path).runs, "mnist")
    row = table.iloc[0].to_dict()
    # Ours: 82.0 and 82.2 %, then 80.0 and 80.4 %; 60 and 61 spikes.
    assert (row["dt (ms)"], row["rule"]) == ("8", "quantised-event")
    assert row["best (%), bsnn"] == "82.10 ± 0.14"
    assert row["last (%), bsnn"] == "80.20 ± 0.28"
    assert row["last spikes, bsnn"] in ("60 ± 1", "61 ± 1")
    assert row["best (%), published"].startswith("84.21 ±")
    assert row["last (%), published"].startswith("57.51 ±")
    assert row["last spikes, published"].startswith("791 ±")
    assert len(table) == 1


def test_console_table_by_hand(sweep):
    lines = report.console_table(tables.read_sweep(sweep[0]).runs).splitlines()
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
    monkeypatch.setattr(report, "LATENCY_LEVEL", 0.9)
    table = report.results_table(tables.read_sweep(sweep[0]).runs)
    assert set(table["latency 0.9 (ms)"]) == {"–"}


class Page(HTMLParser):
    """Collects the tags of a page and checks that they are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.counts = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        values = dict(attributes)
        self.sources += [values[k] for k in ("src", "href") if k in values]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_page_that_needs_nothing_else(sweep, tmp_path):
    folder, load_weights = sweep
    path = tmp_path / "report.html"
    assert list(report.write_report(folder, path, load_weights=load_weights)) == [
        "pareto_losses"
    ]
    assert list(tmp_path.iterdir()) == [path]
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.counts["img"] == len(ALL)
    assert all(
        source.startswith("data:image/svg+xml;base64,") for source in page.sources
    )
    assert len(page.sources) == len(ALL)
    assert (
        "bsnn sweep digits --dt-ms 0 0.5 1 8 --rules grid quantised-event "
        "--seeds 0 1 --epochs 2 --batch-size 20 --detect end"
    ) in text
    assert "<td>2.9.0</td>" in text
    assert "run digits_grid_dt4_seed0: not finished" in text
    assert "82.10 ± 0.14" in text


def test_report_escapes_what_it_shows(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    summary = run.summary()
    run.write_json("summary.json", {**summary, "versions": {"a<b>": "1&2"}})
    report.write_report(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;" in text and "1&amp;2" in text
    Page(text)


def test_published_numbers_of_another_selection_say_so(tmp_path):
    run = sweep_folders.write_run(
        tmp_path, dataset="emnist-47class-subset", rule="quantised-event", dt_ms=8.0
    )
    report.write_report(run.path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "official balanced split of EMNIST" in text
    assert "not comparable one to one" in text


def test_crossing_detection_is_a_rule_of_its_own(tmp_path):
    sweep_folders.write_run(tmp_path, dt_ms=1.0, detect="crossing")
    sweep = tables.read_sweep(tmp_path)
    assert sweep.runs.rule.tolist() == ["grid + crossing"]
    (line,) = report.command_lines(sweep)
    assert "--rules grid " in line and line.endswith("--detect crossing")


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "emnist", "digits"])
def test_the_defaults_of_a_training_add_nothing_to_its_rule(dataset):
    assert tables.rule_name(Settings.reference(dataset).config()) == "grid"


def test_another_loss_start_or_slope_is_a_series_of_its_own(tmp_path):
    other = [{"spike_penalty": 0.01}, {"true": 8, "false": 2}, {"spike_penalty": 0}]
    other += [{"initial_mean": [0.0, 0.1]}, {"slope_min": 5.0}]
    for config in other:
        sweep_folders.write_run(tmp_path, dt_ms=4.0, **config)
    sweep = tables.read_sweep(tmp_path)
    rules = [
        "grid",
        "grid, mean 0/0.1",
        "grid, penalty 0.01",
        "grid, slope 5",
        "grid, targets 8/2",
    ]
    assert sweep.runs.rule.tolist() == rules
    drawings, _ = figures.draw(sweep)
    drawn = {drawing.name: drawing.table for drawing in drawings}
    assert drawn["pareto_losses"].rule.tolist() == rules
    assert set(drawn["accuracy_over_dt"].rule) == {"grid"}
    assert set(drawn["confidence"].rule) == set(rules[:2])  # two panels at most
    lines = report.command_lines(sweep)
    assert any(line.endswith("--spike-penalty 0.01") for line in lines)
    assert any(line.endswith("--true 8 --false 2") for line in lines)
    assert any(line.endswith("--initial-mean 0.0 0.1") for line in lines)
    assert any(line.endswith("--slope-min 5.0") for line in lines)


def test_markdown_report_has_its_figures_and_numbers_beside_it(sweep, tmp_path):
    folder, load_weights = sweep
    path = tmp_path / "results" / "digits.md"
    assert list(report.write_report(folder, path, load_weights=load_weights)) == [
        "pareto_losses"
    ]
    text = path.read_text(encoding="utf-8")
    beside = {file.name for file in (path.parent / "digits").iterdir()}
    named = set(re.findall(r"\(digits/([a-z_.]+)\)", text))
    assert (
        named
        == beside
        == {"runs.csv"} | {f"{name}.{kind}" for name in ALL for kind in ("png", "csv")}
    )
    # Seeds 0 and 1 at 8 ms: best 82.0, 82.2; the level 0.9 is never reached by seed 1.
    rows = [line for line in text.splitlines() if line.startswith("| 8 | grid |")]
    assert "82.10 ± 0.14" in rows[0]
    assert "| 140.0 ± 0.0 | 190.0 ± 0.0 | – |" in rows[1]
    assert "\nMean ± standard deviation over seeds." in text
    runs = pd.read_csv(path.parent / "digits" / "runs.csv")
    assert len(runs) == len(tables.read_sweep(folder).runs)


def test_report_is_html_or_markdown(sweep, tmp_path):
    with pytest.raises(ValueError, match=r"'path' must end in .html or .md, got 'r.t"):
        report.write_report(sweep[0], tmp_path / "r.txt")


def test_front_is_the_cells_that_none_dominates(tmp_path):
    # 88.0, 87.6 and 80.0 % for 60, 61 and 60 spikes.
    sweep_folders.write_run(tmp_path, dt_ms=1.0)
    sweep_folders.write_run(tmp_path, dt_ms=2.0, seed=1)
    sweep_folders.write_run(tmp_path, dt_ms=8.0)
    table = report.front_table(tables.read_sweep(tmp_path))
    assert table["dt (ms)"].tolist() == ["1"]
    assert table["last (%)"].tolist() == ["87.00"]


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


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_config, r"config\.json"),
        (spoil_config_values, r"config\.json lacks rule, detect, dt_ms, seed, epochs"),
        (spoil_rule, r"config\.json has the unknown rule 'guess'"),
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
        figures.make_figures(tmp_path, tmp_path / "figures")
    assert "digits_grid_dt2_seed0" in str(caught.value)
    assert not (tmp_path / "figures").exists()


def test_folders_without_results_are_refused(tmp_path):
    with pytest.raises(RunFolderError, match="there is no such folder"):
        tables.read_sweep(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="it holds no runs"):
        tables.read_sweep(tmp_path)
    run = sweep_folders.write_run(tmp_path)
    (run.path / "summary.json").unlink()
    with pytest.raises(RunFolderError, match="none of its 1 runs has finished"):
        tables.read_sweep(tmp_path)


def test_several_data_sets_need_a_choice(tmp_path):
    for dataset in ("digits", "yin-yang"):
        sweep_folders.write_run(tmp_path, dataset=dataset)
    with pytest.raises(RunFolderError, match=r"data sets \(digits, yin-yang\)"):
        tables.read_sweep(tmp_path)
    assert tables.read_sweep(tmp_path, "yin-yang").dataset == "yin-yang"
    with pytest.raises(RunFolderError, match="none of its runs is on 'mnist'"):
        tables.read_sweep(tmp_path, "mnist")


def test_runs_of_one_cell_must_differ_in_the_seed_alone(tmp_path):
    first = sweep_folders.write_run(tmp_path, seed=0)
    sweep_folders.write_run(tmp_path, seed=1, batch_size=5)
    with pytest.raises(RunFolderError, match="differ in 'batch_size'"):
        tables.read_sweep(tmp_path)
    first.write_json("config.json", {**first.config(), "seed": 1})
    with pytest.raises(RunFolderError, match="of the same cell and seed"):
        tables.read_sweep(tmp_path)
