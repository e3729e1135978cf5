"""Results as text: the table of the command line, and the page of a sweep."""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from bsnn.analysis import pareto
from bsnn.analysis.figures import catalogue as figures
from bsnn.analysis.figures import style as plots
from bsnn.analysis.study import published, tables
from bsnn.equations import time_rules
from bsnn.runs import replacing

from . import pages

# Settings in config.json that 'bsnn sweep' takes as an option of the same name.
_OPTIONS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "layers",
    "v_threshold",
    "detect",
    "max_spikes",
    "true",
    "false",
    "spike_penalty",
    "initial_mean",
    "slope_min",
    "n_train",
    "n_test",
    "precision",
    "projection",
    "device",
)
LATENCY_LEVEL = 0.8  # of the prediction confidence; what the tables show


def console_table(runs):
    """Return the results of runs as text, one line a cell.

    Parameters
    ----------
    runs : DataFrame
        As `tables.Sweep.runs`.

    Returns
    -------
    text : str
        Time step, rule, accuracy at the best and the last epoch; hidden and output
        spikes, latency, silent neurons and dead labels at the last; mean ± standard
        deviation if there are seeds.
    """
    return results_table(runs).to_string(index=False)


def results_table(runs):
    """Return the table behind `console_table`: a DataFrame of formatted str."""
    latency = f"latency_ms_{LATENCY_LEVEL:g}"
    percents = ["best_accuracy", "last_accuracy"]
    spikes = ["last_hidden_spikes", "last_output_spikes"]
    values = [*percents, *spikes, latency, "silent_fraction", "dead_labels"]
    runs = runs.assign(**{name: np.nan for name in values if name not in runs})
    table = tables.mean_over_seeds(runs, tables.CELL, values)
    columns = {
        "dt (ms)": [f"{dt:g}" for dt in table.dt_ms],
        "rule": table.rule,
        "best (%)": _with_spread(table, "best_accuracy", 2, 100),
        "last (%)": _with_spread(table, "last_accuracy", 2, 100),
        "hidden spikes": _with_spread(table, "last_hidden_spikes", 1),
        "output spikes": _with_spread(table, "last_output_spikes", 1),
        f"latency {LATENCY_LEVEL:g} (ms)": _with_spread(table, latency, 1),
        "silent (%)": _with_spread(table, "silent_fraction", 1, 100),
        "dead labels": _with_spread(table, "dead_labels", 1),
        "seeds": table.n_seeds.astype(str),
    }
    return pd.DataFrame(columns)


def latency_table(sweep):
    """Return when the mean confidence reaches each level, and where it ends.

    Returns
    -------
    table : DataFrame of str
        One row a cell, at the last epoch; – where a level is never reached in at least
        one seed.
    """
    runs = sweep.runs
    values = [name for name in runs if name.startswith("latency_ms_")]
    values.append("first_spike_ms")
    curves = sweep.confidence
    if len(curves):
        last = tables.final_confidence(curves)[[*tables.RUN, "confidence"]]
        runs = runs.merge(last, on=tables.RUN, how="left")
        values.append("confidence")
    table = tables.mean_over_seeds(runs, tables.CELL, values)
    columns = {"dt (ms)": [f"{dt:g}" for dt in table.dt_ms], "rule": table.rule}
    for name in values:
        level = name.removeprefix("latency_ms_")
        title, digits = f"confidence {level} (ms)", 1
        if name == "first_spike_ms":
            title = "first output spike (ms)"
        elif name == "confidence":
            title, digits = "confidence at the end", 3
        columns[title] = _with_spread(table, name, digits)
    return pd.DataFrame({**columns, "seeds": table.n_seeds.astype(str)})


def front_table(sweep):
    """Return the cells on our Pareto front and the published one, sparsest first.

    Returns
    -------
    table : DataFrame of str
    """
    table = pareto.pareto_table(figures.with_published(sweep), at="last")
    table = table[table.on_front].sort_values(["source", "total_spikes"])
    return pd.DataFrame(
        {
            "source": table.source,
            "rule": table.rule,
            "dt (ms)": [f"{dt:g}" for dt in table.dt_ms],
            "last (%)": _with_spread(table, "accuracy", 2, 100),
            "total spikes": _with_spread(table, "total_spikes", 1),
            "seeds": table.n_seeds.astype(str),
        }
    )


def comparison_table(runs, dataset):
    """Return ours beside the published numbers at the time steps that both have.

    Returns
    -------
    table : DataFrame of str
        Empty if nothing is published on this data set.
    """
    theirs = published.runs(dataset)
    parts = []
    for source, group in (("bsnn", runs), ("published", theirs)):
        for at in ("best", "last"):
            part = tables.cells(group, at) if len(group) else None
            if part is None:
                return pd.DataFrame()
            formatted = pd.DataFrame(
                {
                    "dt (ms)": part.dt_ms,
                    "rule": part.rule,
                    f"{at} (%), {source}": _with_spread(part, "accuracy", 2, 100),
                    f"{at} spikes, {source}": _with_spread(part, "total_spikes", 0),
                }
            )
            parts.append(formatted.set_index(["dt (ms)", "rule"]))
    joined = pd.concat(parts, axis=1, join="inner").reset_index()
    joined["dt (ms)"] = [f"{dt:g}" for dt in joined["dt (ms)"]]
    return joined


def write_report(folder, path, *, dataset=None, load_weights=None):
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
        As for `figures.make_figures`.

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
    sweep = tables.read_sweep(folder, dataset)
    with plots.print_style():
        drawings, skipped = figures.draw(sweep, load_weights)
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
    with replacing(path) as file:
        file.write(page.text())
    return skipped


def command_lines(sweep):
    """Return the commands that repeat a sweep, one for each set of settings in it."""
    groups = {}
    for run in sweep.runs.run:
        config = sweep.configs[run]
        options = []
        for name in _OPTIONS:
            if config.get(name) is not None:
                values = np.atleast_1d(np.array(config[name], dtype=object))
                options += [f"--{name.replace('_', '-')}", *map(str, values)]
        groups.setdefault(tuple(options), []).append(config)
    lines = []
    for options, configs in groups.items():
        steps, seeds = (
            sorted({c[name] for c in configs}) for name in ("dt_ms", "seed")
        )
        # A time step of 0 means continuous time under any rule.
        rules = sorted({c["rule"] for c in configs} - {time_rules.CONTINUOUS})
        words = ["bsnn", "sweep", sweep.dataset]
        words += ["--dt-ms", *(f"{dt:g}" for dt in steps)]
        words += ["--rules", *rules] if rules else []
        words += ["--seeds", *map(str, seeds)]
        lines.append(shlex.join([*words, *options]))
    return lines


def _with_spread(table, name, digits, scale=1):
    texts = []
    for mean, deviation in zip(table[name], table[f"{name}_sd"], strict=True):
        text = "–" if np.isnan(mean) else f"{scale * mean:.{digits}f}"
        if np.isfinite(deviation):
            text += f" ± {scale * deviation:.{digits}f}"
        texts.append(text)
    return texts


def _add_results(page, sweep):
    page.heading("Results")
    page.table(results_table(sweep.runs))
    page.note(
        "Mean ± standard deviation over seeds. Spikes per test sample, latency (when "
        f"the mean prediction confidence reaches {LATENCY_LEVEL:g}; – means never, in "
        "at least one seed), neurons silent in the whole test set and labels whose "
        "output is: after the last epoch. The best epoch is chosen by the test "
        "accuracy itself."
    )
    page.heading("Latency")
    page.table(latency_table(sweep))
    page.heading("Pareto front")
    page.table(front_table(sweep))
    page.note("No other cell of its source has as much accuracy with as few spikes.")


def _add_comparison(page, sweep):
    table = comparison_table(sweep.runs, sweep.dataset)
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
    page.note(f"{len(sweep.runs)} finished runs.")
    page.table(pd.DataFrame(rows, columns=["package", "version"]))
