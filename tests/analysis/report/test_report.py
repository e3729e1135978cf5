"""Sweep folders into one page, HTML or Markdown."""

import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest

from bsnn.analysis import read_sweep, write_report
from tests.training.experiments import sweep_folders
from tests.training.experiments.sweep_folders import FIGURES


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
    assert list(write_report(folder, path, load_weights=load_weights)) == [
        "pareto_losses"
    ]
    assert list(tmp_path.iterdir()) == [path]
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.counts["img"] == len(FIGURES)
    assert all(
        source.startswith("data:image/svg+xml;base64,") for source in page.sources
    )
    assert len(page.sources) == len(FIGURES)
    assert (
        "bsnn sweep digits --dt-ms 0 0.5 1 8 --rules grid quantised-event "
        "--seeds 0 1 --epochs 2 --batch-size 20"
    ) in text
    assert "<td>2.9.0</td>" in text
    assert "run digits_grid_dt4_seed0: not finished" in text
    assert "82.10 ± 0.14" in text
    assert (page.counts["h1"], page.counts["title"]) == (1, 1)
    (title,) = re.findall("<title>(.*)</title>", text)
    assert f"<h1>{title}</h1>" in text and page.counts["h2"] > 3


def test_report_escapes_what_it_shows(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    summary = run.summary()
    run.write_json("summary.json", {**summary, "versions": {"a<b>": "1&2"}})
    write_report(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;" in text and "1&amp;2" in text
    Page(text)


def test_published_numbers_of_another_selection_say_so(tmp_path):
    run = sweep_folders.write_run(
        tmp_path, dataset="emnist-47class-subset", rule="quantised-event", dt_ms=8.0
    )
    write_report(run.path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "official balanced split of EMNIST" in text
    assert "not comparable one to one" in text


def test_markdown_report_has_its_figures_and_numbers_beside_it(sweep, tmp_path):
    folder, load_weights = sweep
    path = tmp_path / "results" / "digits.md"
    assert list(write_report(folder, path, load_weights=load_weights)) == [
        "pareto_losses"
    ]
    text = path.read_text(encoding="utf-8")
    beside = {file.name for file in (path.parent / "digits").iterdir()}
    named = set(re.findall(r"\(digits/([a-z_.]+)\)", text))
    drawn = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "csv")}
    assert named == beside == drawn | {"runs.csv"}
    # Seeds 0 and 1 at 8 ms: best 82.0, 82.2; the level 0.9 is never reached by seed 1.
    rows = [line for line in text.splitlines() if line.startswith("| 8 | grid |")]
    assert "82.10 ± 0.14" in rows[0]
    assert "| 140.0 ± 0.0 | 190.0 ± 0.0 | – |" in rows[1]
    assert "\nMean ± standard deviation over seeds." in text
    # Under each heading is what it announces.
    sections = [part.split("\n", 1) for part in text.split("\n## ")[1:]]
    holds = {
        head: re.findall(r"^(?:\||!|```|- )", body, re.M) for head, body in sections
    }
    assert all(holds.values()), holds
    tables = {head for head, marks in holds.items() if "|" in marks}
    assert {"Results", "Latency", "Pareto front", "How to repeat it"} <= tables
    runs = pd.read_csv(path.parent / "digits" / "runs.csv")
    assert len(runs) == len(read_sweep(folder).runs)


def test_links_of_a_page_with_a_strange_name_lead_to_its_files(sweep, tmp_path):
    folder = tmp_path / "my #1 sweep (50%)?"
    shutil.copytree(sweep[0], folder)
    unfinished = folder / "digits_grid_dt4_seed0"
    unfinished.rename(folder / "a|b `c` <i>[d] #1")
    path = folder / "results & more #2?.md"
    skipped = write_report(folder, path)
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    n_drawn = len(FIGURES) + 1 - len(skipped)  # pareto_losses is none of them
    assert len(links) == 2 * n_drawn + 1  # picture and numbers of each; all runs
    for link in links:
        assert re.fullmatch(r"[A-Za-z0-9_.%/-]+", link), link
        assert (folder / unquote(link)).is_file()
    assert r"- run a\|b \`c\` \<i>\[d\] #1: not finished" in text
    page = folder / "results #2.html"
    write_report(folder, page)
    sources = Page(page.read_text(encoding="utf-8")).sources
    assert len(sources) == n_drawn
    assert all(source.startswith("data:") for source in sources)


def test_a_table_of_markdown_keeps_its_columns(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    run.write_json("summary.json", {**run.summary(), "versions": {"a|b": "1\n2"}})
    write_report(tmp_path, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| a\\|b | 1 2 |" in text.splitlines()


def test_captions_tell_only_of_what_is_drawn(tmp_path):
    for dt_ms in (1.0, 2.0):
        sweep_folders.write_run(tmp_path, dt_ms=dt_ms)
    write_report(tmp_path, tmp_path / "plain.html")
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    for absent in ("Open markers", "logarithmic", "± standard", "(n = 1)"):
        assert absent not in text
    assert "One seed." in text and "standard error of " not in text
    run = next(tmp_path.glob("*_dt1_seed0")) / "summary.json"
    summary = {**json.loads(run.read_text("utf-8")), "test_samples": 355}
    for run in tmp_path.glob("*/summary.json"):
        run.write_text(json.dumps(summary), encoding="utf-8")
    write_report(tmp_path, tmp_path / "plain.html")
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    # The spread of 355 draws, of which 0.86 are right: 1.85 %; in three figures.
    assert text.count("355 test samples, have a standard error of 1.8 %") == 3
    sweep_folders.write_run(tmp_path, dt_ms=2.0, spike_penalty=0.01)
    write_report(tmp_path, tmp_path / "more.html")
    text = (tmp_path / "more.html").read_text(encoding="utf-8")
    assert "Penalty: price of a hidden spike." in text and "Targets:" not in text


def test_report_lists_runs_and_machines(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    machine = {"processor": "A <fast> one", "cores": 2, "system": "Linux-6"}
    seconds = {"machine": machine, "seconds_per_epoch": 12.25}
    run.write_json("summary.json", {**run.summary(), **seconds})
    sweep_folders.write_run(tmp_path, dt_ms=2.0)
    write_report(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Trained on A &lt;fast&gt; one, 2 cores, Linux-6." in text
    assert "not noted (older runs)" in text
    assert "<td>digits_grid_dt1_seed0</td><td>2</td><td>2</td>" in text
    assert "<td>12.2</td>" in text


@pytest.mark.parametrize("machine", [{"cores": 2}, [3], "A fast one", None])
def test_a_machine_that_is_damaged_is_not_told(machine, tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    run.write_json("summary.json", {**run.summary(), "machine": machine})
    write_report(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not noted (older runs)" in text


def test_report_is_html_or_markdown(sweep, tmp_path):
    with pytest.raises(ValueError, match=r"'path' must end in .html or .md, got 'r.t"):
        write_report(sweep[0], tmp_path / "r.txt")
