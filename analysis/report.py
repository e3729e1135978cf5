"""Results as text: the table of the command line and one self-contained HTML page."""

import base64
import html
import shlex

import numpy as np
import pandas as pd

from bsnn.equations import time_rules
from bsnn.runs import replacing

from . import figures, plots, published, tables

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
    "n_train",
    "n_test",
    "precision",
    "projection",
    "device",
)
LATENCY_LEVEL = 0.8  # of the prediction confidence; what the tables show

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; color: #111; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #111; vertical-align: bottom; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; }
figcaption, .note { color: #444; font-size: .9rem; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; }
@media print { figure, table { break-inside: avoid; } }
"""


def console_table(runs):
    """Return the results of runs as text, one line a cell.

    Parameters
    ----------
    runs : DataFrame
        As `tables.Sweep.runs`.

    Returns
    -------
    text : str
        Time step, rule, accuracy at the best and the last epoch, hidden and output
        spikes and latency at the last; mean ± standard deviation if there are seeds.
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
        "seeds": table.n_seeds.astype(str),
    }
    return pd.DataFrame(columns)


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
    """Write one HTML page with the tables and figures of a sweep.

    Parameters
    ----------
    folder : path
        A sweep folder, or one run folder.
    path : path
        The HTML file; it needs no other file and no network.
    dataset, load_weights
        As for `figures.make_figures`.

    Returns
    -------
    skipped : dict of str to str
        Figures that could not be drawn, and why.

    Raises
    ------
    RunFolderError
        If the folder holds no finished run, a damaged one, or several data sets, or
        the page cannot be written.
    """
    sweep = tables.read_sweep(folder, dataset)
    with plots.print_style():
        drawings, skipped = figures.draw(sweep, load_weights)
        shown = [_figure(number, d) for number, d in enumerate(drawings, start=1)]
    sections = [
        _results(sweep),
        _comparison(sweep),
        "<h2>Figures</h2>" + "".join(shown),
        _left_out(sweep, skipped),
        _reproduction(sweep),
    ]
    title = f"Time step study: {html.escape(sweep.dataset)}"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>"
        + "\n".join(sections)
        + "</body></html>\n"
    )
    with replacing(path) as file:
        file.write(page)
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


def _results(sweep):
    note = (
        "Mean ± standard deviation over seeds. Spikes per test sample, latency (when "
        f"the mean prediction confidence reaches {LATENCY_LEVEL:g}; – means never, in "
        "at least one seed) and neurons silent in the whole test set: after the last "
        "epoch. The best epoch is chosen by the test accuracy itself."
    )
    return (
        f"<h2>Results</h2>{_html_table(results_table(sweep.runs))}"
        f'<p class="note">{note}</p>'
    )


def _comparison(sweep):
    table = comparison_table(sweep.runs, sweep.dataset)
    if table.empty:
        return ""
    return (
        f"<h2>Beside the published numbers</h2>{_html_table(table)}"
        f'<p class="note">{html.escape(published.citation(sweep.dataset))} '
        "All hidden and output spikes per test sample.</p>"
    )


def _figure(number, drawing):
    data = base64.b64encode(plots.svg_text(drawing.figure).encode()).decode()
    caption = html.escape(drawing.caption)
    return (
        f'<figure><img alt="{html.escape(drawing.name)}" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>Figure {number}. {caption}</figcaption></figure>\n"
    )


def _left_out(sweep, skipped):
    items = [f"figure {name}: {reason}" for name, reason in skipped.items()]
    items += [f"run {name}: not finished" for name in sweep.unfinished]
    if not items:
        return ""
    listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return f"<h2>Left out</h2><ul>{listed}</ul>"


def _reproduction(sweep):
    commands = html.escape("\n".join(command_lines(sweep)))
    rows = sorted(
        {
            (package, str(version))
            for found in sweep.versions.values()
            for package, version in found.items()
        }
    )
    listed = _html_table(pd.DataFrame(rows, columns=["package", "version"]))
    return (
        f"<h2>How to repeat it</h2><pre>{commands}</pre>"
        f"<p>{len(sweep.runs)} finished runs.</p>{listed}"
    )


def _html_table(table):
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in table)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
