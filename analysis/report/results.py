"""The results of a study as tables of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bsnn.analysis.pareto import pareto_table
from bsnn.analysis.study import published, tables
from bsnn.settings import SETTINGS

DT = SETTINGS["dt_ms"].label
LATENCY_LEVEL = 0.8  # of the prediction confidence; what the tables show


def console_table(runs: pd.DataFrame) -> str:
    """Return the results of runs as text, one line a cell.

    Parameters
    ----------
    runs : DataFrame
        As `study.sweep.Sweep.runs`.

    Returns
    -------
    text : str
        Time step, rule, accuracy at the best and the last epoch, or in validation and
        test; hidden and output spikes, latency, silent neurons and dead labels at the
        last; mean ± standard deviation if there are seeds.
    """
    return results_table(runs).to_string(index=False)


def gradient_error_table(rows) -> str:
    """Return what estimators get wrong as text, one line a time step and estimator.

    Parameters
    ----------
    rows : sequence of dict
        What `bsnn.training.experiments.gradient_error.gradient_errors` yielded.
    """
    table = pd.DataFrame(rows)
    table = table[table.layer == "all"]
    by = ["run", "weights", "dt_ms", "estimator"]
    times = table[(table.loss == "times") & (table.of == "weights")].set_index(by)
    columns = {
        "cosine": times.cosine,
        "norm": times.norm_ratio,
        "other signs (%)": 100 * times.sign_errors,
    }
    counts = table[table.of == "loss"]
    for distance, part in counts.groupby("distance"):
        columns[f"slope of counts at {distance:g}"] = part.set_index(by).slope
    columns["promised"] = counts.drop_duplicates(by).set_index(by).promised
    shown = pd.DataFrame(columns).reset_index()
    return shown.to_string(index=False, float_format="{:.3g}".format)


def results_table(runs):
    """Return the table behind `console_table`: a DataFrame of formatted str."""
    latency = f"latency_ms_{LATENCY_LEVEL:g}"
    percents = {"best (%)": "best_accuracy", "last (%)": "last_accuracy"}
    if tables.validated(runs):
        percents = {
            "validation (%)": "validation_accuracy",
            "test (%)": "last_accuracy",
        }
    spikes = ["last_hidden_spikes", "last_output_spikes"]
    values = [*percents.values(), *spikes, latency, "silent_fraction", "dead_labels"]
    runs = runs.assign(**{name: np.nan for name in values if name not in runs})
    table = tables.mean_over_seeds(runs, tables.CELL, values)
    columns = {
        DT: [f"{dt:g}" for dt in table.dt_ms],
        "rule": table.rule,
        **{title: _with_spread(table, n, 2, 100) for title, n in percents.items()},
        "hidden spikes": _with_spread(table, "last_hidden_spikes", 1),
        "output spikes": _with_spread(table, "last_output_spikes", 1),
        f"latency {LATENCY_LEVEL:g} (ms)": _with_spread(table, latency, 1),
        "silent (%)": _with_spread(table, "silent_fraction", 1, 100),
        "dead labels": _with_spread(table, "dead_labels", 1),
        "seeds": table.n_seeds.astype(str),
    }
    return pd.DataFrame(columns)


def runs_table(runs):
    """Return a line of text for each run: a DataFrame of str."""
    tested = "validation_accuracy" if tables.validated(runs) else "best_accuracy"
    return pd.DataFrame(
        {
            "run": runs.run,
            "epochs": runs.epochs.astype(str),
            "tested epoch": runs.last_epoch.map("{:.0f}".format),
            f"{tested.removesuffix('_accuracy')} (%)": _percent(runs[tested]),
            "test (%)": _percent(runs.last_accuracy),
            "hidden spikes": runs.last_hidden_spikes.map("{:.1f}".format),
            "output spikes": runs.last_output_spikes.map("{:.1f}".format),
            "s per epoch": runs.seconds_per_epoch.map("{:.1f}".format),
        }
    )


def _percent(fractions):
    return (100 * fractions).map("{:.2f}".format)


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
    if runs.decision_ms.notna().any():  # older runs did not measure it
        values.append("decision_ms")
    curves = sweep.confidence
    if len(curves):
        last = tables.final_confidence(curves)[[*tables.RUN, "confidence"]]
        runs = runs.merge(last, on=tables.RUN, how="left")
        values.append("confidence")
    table = tables.mean_over_seeds(runs, tables.CELL, values)
    columns = {DT: [f"{dt:g}" for dt in table.dt_ms], "rule": table.rule}
    for name in values:
        level = name.removeprefix("latency_ms_")
        title, digits = f"confidence {level} (ms)", 1
        if name == "first_spike_ms":
            title = "first output spike (ms)"
        elif name == "decision_ms":
            title = "stable decision (ms)"
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
    table = pareto_table(tables.cells(published.with_published(sweep), "last"))
    table = table[table.on_front].sort_values(["source", "total_spikes"])
    return pd.DataFrame(
        {
            "source": table.source,
            "rule": table.rule,
            DT: [f"{dt:g}" for dt in table.dt_ms],
            "test (%)": _with_spread(table, "accuracy", 2, 100),
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
                    DT: part.dt_ms,
                    "rule": part.rule,
                    f"{at} (%), {source}": _with_spread(part, "accuracy", 2, 100),
                    f"{at} spikes, {source}": _with_spread(part, "total_spikes", 0),
                }
            )
            parts.append(formatted.set_index([DT, "rule"]))
    joined = pd.concat(parts, axis=1, join="inner").reset_index()
    joined[DT] = [f"{dt:g}" for dt in joined[DT]]
    return joined


def _with_spread(table, name, digits, scale=1):
    texts = []
    for mean, deviation in zip(table[name], table[f"{name}_sd"], strict=True):
        text = "–" if np.isnan(mean) else f"{scale * mean:.{digits}f}"
        if np.isfinite(deviation):
            text += f" ± {scale * deviation:.{digits}f}"
        texts.append(text)
    return texts
