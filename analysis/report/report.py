"""The page of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bsnn.analysis import pareto
from bsnn.analysis.figures.catalogue import draw_all
from bsnn.analysis.figures.labels import when
from bsnn.analysis.figures.style import print_style
from bsnn.analysis.study import published, tables
from bsnn.analysis.study.sweep import read_sweep
from bsnn.files import replacing

from . import pages, results
from .commands import command_lines


def write_report(
    folder: str | Path,
    path: str | Path,
    *,
    dataset: str | None = None,
    load_weights: Callable | None = None,
) -> dict[str, str]:
    """Write one page with the tables and figures of a sweep.

    Parameters
    ----------
    folder : path
        A sweep folder, or one run folder.
    path : path
        ``.html``: a page that needs no other file and no network. ``.md``: Markdown;
        its figures (PNG), the numbers in them and the table of all runs (CSV) go into a
        folder of the same name beside it.
    dataset, load_weights
        As for `bsnn.analysis.make_figures`.

    Returns
    -------
    skipped : dict of str to str
        Figures that could not be drawn, and why.

    Raises
    ------
    ValueError
        If the name ends in neither.
    RunFolderError
        If the folder holds no finished run, a damaged one, or several data sets, or
        the page cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".html", ".md"):
        raise ValueError(f"'path' must end in .html or .md, got '{path.name}'.")
    sweep = read_sweep(folder, dataset, load_weights)
    with print_style():
        drawings, skipped = draw_all(sweep)
        if path.suffix == ".md":
            page = pages.Markdown(path.with_suffix(""))
        else:
            page = pages.Html()
        page.heading(f"Time step study: {sweep.dataset}", level=1)
        _add_results(page, sweep)
        _add_comparison(page, sweep)
        page.heading("Figures")
        for number, drawing in enumerate(drawings, start=1):
            page.figure(number, drawing)
        _add_left_out(page, sweep, skipped)
        _add_reproduction(page, sweep)
        if path.suffix == ".md":
            page.data("runs", sweep.runs)
        else:
            page.heading("Runs")
            page.table(results.runs_table(sweep.runs))
    with replacing(path) as file:
        file.write(page.text())
    return skipped


def _add_results(page, sweep):
    page.heading("Results")
    page.table(results.results_table(sweep.runs))
    level = f"{results.LATENCY_LEVEL:g}"
    chosen = "The best epoch is chosen by the test accuracy itself."
    if tables.validated(sweep.runs):
        chosen = "The test set was used once a run."
    seeds = sweep.runs.seed.nunique()
    spread = "Mean ± standard deviation over seeds. " if seeds > 1 else ""
    page.note(
        f"{spread}Spikes per test sample, latency (when the mean prediction confidence "
        f"reaches {level}; – means never, in at least one seed), neurons silent in the "
        f"whole test set and labels whose output is: {when(sweep.runs)}. {chosen}"
    )
    page.heading("Latency")
    page.table(results.latency_table(sweep))
    page.heading("Pareto front")
    page.table(results.front_table(sweep))
    page.note(pareto.FRONT_NOTE)


def _add_comparison(page, sweep):
    table = results.comparison_table(sweep.runs, sweep.comparable)
    if len(table):
        page.heading("Beside the published numbers")
        page.table(table)
        page.note(
            f"{published.citation(sweep.dataset)} All hidden and output spikes of a "
            "test sample."
        )


def _add_left_out(page, sweep, skipped):
    items = [f"figure {name}: {reason}" for name, reason in skipped.items()]
    items += [f"run {name}: not finished" for name in sweep.unfinished]
    if items:
        page.heading("Left out")
        page.items(items)


def _add_reproduction(page, sweep):
    page.heading("How to repeat it")
    page.code("\n".join(command_lines(sweep)))
    rows = sorted(
        {
            (package, str(version))
            for found in sweep.versions.values()
            for package, version in found.items()
        }
    )
    for machine in sorted({_machine(found) for found in sweep.machines.values()}):
        page.note(f"Trained on {machine}.")
    page.table(pd.DataFrame(rows, columns=["package", "version"]))


def _machine(found):
    if not {"processor", "cores", "system"} <= found.keys():
        return "a machine that was not noted (older runs)"
    return f"{found['processor']}, {found['cores']} cores, {found['system']}"
