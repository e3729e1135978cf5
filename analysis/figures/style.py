"""Figures: each function draws one table into one Axes and returns the Axes.

Accuracies and confidences in the tables are fractions, times have the unit in their
column's name; columns ending in ``_sd`` are standard deviations over seeds and become
error bars or bands.
"""

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bsnn.runs import replacing

from .axes import accuracy_axis, label_points, time_step_axis, zero_position

# Okabe and Ito's colours, which stay apart under all colour vision deficiencies
# (jfly.uni-koeln.de/color); without their yellow, which is lost on paper.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#56B4E9",
    "#E69F00",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h", "d")
# The same rule looks the same in every figure.
RULES = ("grid", "quantised-event", "continuous", "grid + crossing")
SEQUENTIAL = "viridis"  # ordered, and safe under the same deficiencies

WIDTHS = {"column": 3.5, "page": 7.0}  # inches of print

_PRINT = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "path",
    "svg.hashsalt": "bsnn",
}


def print_style():
    """Return a context in which figures suit print; settings are restored after it."""
    return matplotlib.rc_context(_PRINT)


def new_figure(n_axes=1, *, width="page", height=3.0, **subplots):
    """Return a Figure of its own, unknown to pyplot, and its list of Axes.

    Parameters
    ----------
    n_axes : int
        Axes side by side.
    width : {"column", "page"}
    height : float
        Inches.
    **subplots
        As for ``Figure.subplots``.
    """
    figure = Figure(figsize=(WIDTHS[width], height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, n_axes, squeeze=False, **subplots)
    return figure, list(axes[0])


def plot_pareto(table, ax):
    """Draw accuracy over 1 / total spikes, each point labelled with its time step.

    Parameters
    ----------
    table : DataFrame
        As `pareto.pareto_table` returns it. Published points are open; a step joins
        the points on the front of each source.
    ax : Axes
    """
    _one_dataset(table)
    for source, rule, style, points in _series(table):
        x, y = points.inverse_spikes, 100 * points.accuracy
        spread = [x - points.inverse_spikes_low, points.inverse_spikes_high - x]
        ax.errorbar(
            x,
            y,
            xerr=np.nan_to_num(np.clip(spread, 0, None)),
            yerr=100 * points.accuracy_sd.fillna(0),
            label=series_label(source, rule),
            linestyle="none",
            elinewidth=0.5,
            **style,
        )
    for source, points in table[table.on_front].groupby("source"):
        front = points.sort_values("inverse_spikes")
        ax.step(
            front.inverse_spikes,
            100 * front.accuracy,
            where="pre",
            color="0.45",
            linewidth=1,
            linestyle="-" if source == "bsnn" else ":",
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgewidth=0.8,
            label=f"Pareto front{'' if source == 'bsnn' else ', published'}",
        )
    ax.set_xlabel("1 / (spikes per sample)")
    accuracy_axis(ax, table.accuracy)
    order = table.sort_values(["on_front", "source"], ascending=[False, True])
    label_points(
        ax,
        order.inverse_spikes.to_numpy(),
        100 * order.accuracy.to_numpy(),
        [f"{dt:g}" for dt in order.dt_ms],
        ["black" if on_front else "0.45" for on_front in order.on_front],
    )
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, -3), useMathText=True)
    ax.legend()
    return ax


def plot_confidence(table, ax, time_steps=None):
    """Draw the prediction confidence over time, one line for each time step.

    Parameters
    ----------
    table : DataFrame
        Columns `source`, `dt_ms`, `time_ms`, `confidence`, `confidence_sd`, of one
        rule and its continuous limit. Published values are open markers without lines.
    ax : Axes
    time_steps : sequence of float, optional
        All time steps (ms) that share the colours; those of the table unless given.
    """
    _one_dataset(table)
    steps = sorted(table.dt_ms.unique() if time_steps is None else time_steps)
    for (source, dt), line in table.groupby(["source", "dt_ms"]):
        line = line.sort_values("time_ms")
        colour = _sequential_colour(steps.index(dt), len(steps))
        marker = MARKERS[steps.index(dt) % len(MARKERS)]
        if source == "published":
            ax.plot(
                line.time_ms,
                line.confidence,
                linestyle="none",
                marker=marker,
                markerfacecolor="none",
                markeredgecolor=colour,
            )
            continue
        ax.plot(
            line.time_ms,
            line.confidence,
            color=colour,
            marker=marker,
            markevery=(0.06, 0.12),
            markersize=3.5,
            label=_time_step_label(dt),
        )
        low, high = (line.confidence + s * line.confidence_sd for s in (-1, 1))
        ax.fill_between(line.time_ms, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Prediction confidence")
    ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.legend(title="Time step", handlelength=2.5)
    return ax


def plot_over_dt(table, ax, value):
    """Draw accuracy or spikes against the time step, one line for each rule and source.

    Parameters
    ----------
    table : DataFrame
        As `tables.cells` returns it.
    ax : Axes
        Its x axis becomes logarithmic; a time step of 0 is drawn left of a break.
    value : {"accuracy", "total_spikes", "hidden_spikes", "output_spikes"}
    """
    _one_dataset(table)
    scale = 100 if value == "accuracy" else 1
    zero = zero_position(table.dt_ms)
    for source, rule, style, line in _series(table):
        line = line.sort_values("dt_ms")
        ax.errorbar(
            line.dt_ms.where(line.dt_ms > 0, zero),
            scale * line[value],
            yerr=scale * line[f"{value}_sd"].fillna(0),
            label=series_label(source, rule),
            linestyle="-" if source == "bsnn" else (0, (4, 2)),
            elinewidth=0.8,
            capsize=2,
            **style,
        )
    time_step_axis(ax, table.dt_ms)
    if value == "accuracy":
        accuracy_axis(ax, table.accuracy)
    else:
        kind = value.removesuffix("_spikes").replace("total", "")
        ax.set_ylabel(f"{kind} spikes per sample".strip().capitalize())
        ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def plot_transfer(table, ax):
    """Draw the accuracy of networks run at another time step than they learnt.

    Parameters
    ----------
    table : DataFrame
        Columns `dt_ms` (trained at), `test_dt_ms`, `accuracy`; one row a pair, of one
        rule.
    ax : Axes
    """
    _one_dataset(table)
    matrix = 100 * table.pivot(index="dt_ms", columns="test_dt_ms", values="accuracy")
    lowest = 10 * np.floor(np.nanmin(matrix) / 10)
    ax.imshow(
        matrix, cmap=SEQUENTIAL, aspect="auto", origin="lower", vmin=lowest, vmax=100
    )
    for (row, column), percent in np.ndenumerate(matrix.to_numpy()):
        if np.isfinite(percent):
            dark = percent < (lowest + 100) / 2
            text = {"color": "white" if dark else "black", "fontsize": 8}
            centred = {"ha": "center", "va": "center"}
            ax.text(column, row, f"{percent:.1f}", **text, **centred)
        if matrix.index[row] == matrix.columns[column]:
            corner = (column - 0.47, row - 0.47)
            frame = Rectangle(corner, 0.94, 0.94, fill=False, edgecolor="black")
            ax.add_patch(frame)
    for axis, steps in ((ax.xaxis, matrix.columns), (ax.yaxis, matrix.index)):
        axis.set_ticks(range(len(steps)), [f"{dt:g}" for dt in steps])
    ax.set_xlabel("Time step in the test (ms)")
    ax.set_ylabel("Time step in training (ms)")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def plot_counts(table, ax, target=None):
    """Draw the spikes of one neuron against its drive, one line for each time step.

    Parameters
    ----------
    table : DataFrame
        As `one_neuron.count_table` returns it, of one rule and the continuous limit,
        which is drawn in black.
    ax : Axes
    target : float, optional
        Spikes that the loss asks of the label, marked by a line across.
    """
    steps = sorted(table.dt_ms[table.dt_ms > 0].unique())
    for dt, line in table.groupby("dt_ms"):
        if dt == 0:
            style = {"color": "black", "linewidth": 1}
        else:
            style = {"color": _sequential_colour(steps.index(dt), len(steps))}
        ax.plot(line.charge, line.spikes, label=_time_step_label(dt), **style)
    if target is not None:
        ax.axhline(target, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        ax.annotate(
            "target",
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="0.4",
        )
    ax.set_xlabel("Input charge (thresholds)")
    ax.set_ylabel("Spikes of the neuron")
    ax.set_xlim(0, table.charge.max())
    ax.set_ylim(bottom=0)
    ax.legend(title="Time step")
    return ax


def fix_layout(figure):
    """Lay a finished figure out once, not each time it is written."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save_figure(figure, path, table, *, pdf=True, dpi=200):
    """Save a figure as PDF and PNG with the CSV of exactly the plotted numbers.

    Parameters
    ----------
    figure : Figure
    path : path
        Without suffix. Each file appears complete or not at all.
    table : DataFrame
    pdf : bool
        Leave the PDF out if False.
    dpi : int
        Dots per inch of the PNG.

    Returns
    -------
    paths : list of Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    # The same figure gives the same bytes: no date in them.
    for kind, options in (
        ("pdf", {"metadata": {"CreationDate": None}}),
        ("png", {"dpi": dpi}),
    )[not pdf :]:
        paths.append(path.with_name(f"{path.name}.{kind}"))
        with replacing(paths[-1], "wb") as file:
            figure.savefig(file, format=kind, **options)
    paths.append(path.with_name(f"{path.name}.csv"))
    save_table(paths[-1], table)
    return paths


def save_table(path, table):
    """Save a table as CSV; the file appears complete or not at all."""
    with replacing(path) as file:
        table.to_csv(file, index=False)


def svg_text(figure):
    """Return a figure as the text of an SVG file, the same for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def series_label(source, rule):
    """Return how a legend calls the runs of a source and rule."""
    return rule if source == "bsnn" else f"{rule}, published"


def _one_dataset(table):
    # Published data may carry another name of the same data set; ours must be one.
    if "dataset" in table and "source" in table:
        for source, names in table.groupby("source").dataset.unique().items():
            if len(names) > 1:
                raise ValueError(
                    f"'table' must hold one data set, got {', '.join(sorted(names))} "
                    f"from {source}; select one of them."
                )


def _series(table):
    # Published points first, so that ours lie on top; rules in their fixed order.
    order = [*RULES, *sorted(set(table.rule) - set(RULES))]
    keys = table[["source", "rule"]].drop_duplicates().itertuples(index=False)
    for source, rule in sorted(keys, key=lambda k: (k[0] == "bsnn", order.index(k[1]))):
        points = table[(table.source == source) & (table.rule == rule)]
        yield source, rule, _rule_style(source, order.index(rule)), points


def _rule_style(source, index):
    style = {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
    }
    if source != "bsnn":
        style |= {"markerfacecolor": "none", "markersize": 6.5}
    return style


def _sequential_colour(index, n):
    # The lightest part of the map is lost on white paper.
    return matplotlib.colormaps[SEQUENTIAL](0.82 * index / max(n - 1, 1))


def _time_step_label(dt):
    return "0 (continuous)" if dt == 0 else f"{dt:g} ms"
