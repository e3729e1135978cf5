"""What estimators get wrong at each time step: figures of ``bsnn gradient-error``."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.ticker import LogLocator

from .axes import time_step_axis
from .colours import COLOURS, MARKERS
from .saving import save_figure, save_table
from .style import new_figure, print_style


class Question(NamedTuple):
    """What a figure asks of the rows: which of them, and the column that answers."""

    of: str
    column: str
    label: str
    caption: str
    distance: Callable[[pd.Series], float] | None = None


_DESCENT = (
    "How fast does the loss of counts fall along it, {}? Measured slope of that loss, "
    "smoothed by jittered weights, along a unit of each gradient, over the steepest of "
    "all at the same time step."
)
FIGURES = {
    "direction": Question(
        "weights",
        "cosine",
        "Cosine with the exact gradient",
        "Does an estimator point where the loss of spike times falls? Cosine of its "
        "gradient with the exact one at the time step 0, same weights and samples.",
    ),
    "size": Question(
        "weights",
        "norm_ratio",
        "Norm over that of the exact gradient",
        "Is its size right? Norm of its gradient of the loss of spike times over that "
        "of the exact one.",
    ),
    "spikes": Question(
        "spikes",
        "cosine",
        "Cosine over the spikes of a layer",
        "Is each spike told the same? Cosine of the derivatives of the loss of times, "
        "or of counts, with respect to the times of a layer's spikes that exist at the "
        "time step 0, too, with those there, by {}. Surrogates have none.",
    ),
    "descent": Question(
        "loss",
        "descent",
        "Slope along it, over the best",
        _DESCENT.format("close by"),
        distance=min,
    ),
    "descent_far": Question(
        "loss",
        "descent",
        "Slope along it, over the best",
        _DESCENT.format("further away"),
        distance=max,
    ),
}


def draw(table, name):
    """Return the figure of one question, its table and its caption.

    Parameters
    ----------
    table : DataFrame
        Rows of `bsnn.training.experiments.gradient_error`.
    name : str
        Of `FIGURES`.
    """
    question = FIGURES[name]
    column, caption = question.column, question.caption
    points = table[table.of == question.of]
    if question.of == "spikes":
        kind = next(iter(points.estimator), "straight-through")
        points, caption = points[points.estimator == kind], caption.format(kind)
        points = points.assign(estimator=points.loss + ", layer " + points.layer)
    elif question.distance is None:
        points = points[(points.loss == "times") & (points.layer == "all")]
    else:
        distance = question.distance(points.distance)
        points = points[points.distance == distance]
        best = points.groupby(["run", "weights", "dt_ms"]).slope.transform("max")
        points = points.assign(descent=points.slope / best)
        caption += f" Over {100 * distance:g} % of the spread of the weights."
    by = ["weights", "estimator", "dt_ms"]
    points = points.groupby(by, sort=False)[column].agg(["mean", "min", "max"])
    points = points.reset_index()
    kinds = list(points.weights.unique())
    figure, axes = new_figure(max(len(kinds), 1), height=3.4, sharey=True)
    for ax, kind in zip(axes, kinds, strict=False):
        plot(points[points.weights == kind], ax)
        if column == "norm_ratio":
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("")
            ax.axhline(1, color="0.6", linewidth=0.8, zorder=0)
        else:
            ax.set_ylim(min(0, points["min"].min()), 1.04)
        ax.set_title(f"{kind} weights")
    axes[0].set_ylabel(question.label)
    entries = axes[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4)
    return figure, points, caption


def plot(points, ax):
    """Draw one line an estimator against the time step.

    Parameters
    ----------
    points : DataFrame
        Columns `estimator`, `dt_ms`, `mean`; `min` and `max` over the runs are error
        bars.
    ax : Axes
        Its x axis becomes logarithmic.
    """
    for index, (name, line) in enumerate(points.groupby("estimator", sort=False)):
        line = line.sort_values("dt_ms")
        ax.errorbar(
            line.dt_ms,
            line["mean"],
            yerr=[line["mean"] - line["min"], line["max"] - line["mean"]],
            label=name,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            elinewidth=0.8,
            capsize=2,
        )
    time_step_axis(ax, points.dt_ms)
    return ax


def make_gradient_error_figures(rows, out):
    """Draw every question's figure beside a table of all rows.

    Parameters
    ----------
    rows : sequence of dict
        What `bsnn.training.experiments.gradient_error.gradient_errors` yielded.
    out : path
        Folder of the figures.

    Returns
    -------
    captions : list of str
        Of each figure, after the path of its PNG file; PDF and CSV are beside it.
    """
    table, out = pd.DataFrame(rows), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save_table(out / "gradient_error.csv", table)
    captions = []
    for name in FIGURES:
        with print_style():
            figure, points, caption = draw(table, name)
            if points.empty:  # as of spikes, where all estimators are surrogates
                continue
            save_figure(figure, out / f"gradient_{name}", points)
            captions.append(f"{out / f'gradient_{name}.png'}: {caption}")
    return captions
