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
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from bsnn.runs import replacing

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
    "savefig.dpi": 200,
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
    for source, rule, points in _series(table):
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
            **_rule_style(source, rule),
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
    _accuracy_axis(table.accuracy, ax)
    _label_points(table, ax)
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
    zero = _zero_position(table.dt_ms)
    for source, rule, line in _series(table):
        line = line.sort_values("dt_ms")
        ax.errorbar(
            line.dt_ms.where(line.dt_ms > 0, zero),
            scale * line[value],
            yerr=scale * line[f"{value}_sd"].fillna(0),
            label=series_label(source, rule),
            linestyle="-" if source == "bsnn" else (0, (4, 2)),
            elinewidth=0.8,
            capsize=2,
            **_rule_style(source, rule),
        )
    _log_dt_axis(table.dt_ms, zero, ax)
    if value == "accuracy":
        _accuracy_axis(table.accuracy, ax)
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


def plot_raster(table, ax, label=None, duration_ms=None):
    """Draw the spikes of every layer of one sample, each layer in a band of its own.

    Parameters
    ----------
    table : DataFrame
        As `traces.raster_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label: spikes of that output are coloured.
    duration_ms : float, optional
        End of the time axis.
    """
    layers = table[["layer", "n_neurons"]].drop_duplicates().sort_values("layer")
    output = layers.layer.max()
    for band, (layer, n_neurons) in enumerate(layers.itertuples(index=False)):
        spikes = table[table.layer == layer]
        y = band + 0.05 + 0.9 * (spikes.neuron + 0.5) / n_neurons
        chosen = (spikes.neuron == label) & (layer == output)
        height = max(2.0, min(9.0, 60.0 / n_neurons))
        for which, colour in ((~chosen, "black"), (chosen, COLOURS[1])):
            ax.plot(
                spikes.time_ms[which],
                y[which],
                linestyle="none",
                marker="|",
                markersize=height,
                markeredgewidth=0.8,
                color=colour,
                rasterized=True,
            )
        if band:
            ax.axhline(band, color="0.7", linewidth=0.6)
    names = [_layer_name(layer, output) for layer in layers.layer]
    ticks = [f"{name}\n({n})" for name, n in zip(names, layers.n_neurons, strict=True)]
    ax.set_yticks(np.arange(len(layers)) + 0.5, ticks)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, len(layers))
    ax.set_xlim(0, duration_ms)
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Layer (neurons)")
    return ax


def plot_membrane(table, ax, label=None):
    """Draw the membrane potential of some neurons of one sample.

    Parameters
    ----------
    table : DataFrame
        As `traces.trace_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label, to mark its output neuron in the legend.
    """
    for index, (neuron, trace) in enumerate(table.groupby("neuron")):
        ax.plot(
            trace.time_ms,
            trace.v,
            color=COLOURS[index % len(COLOURS)],
            linestyle=("-", (0, (4, 1.5)), ":")[index % 3],
            linewidth=1,
            label=f"neuron {neuron}{' (label)' if neuron == label else ''}",
        )
    ax.axhline(
        table.v_threshold.iloc[0],
        color="0.45",
        linewidth=0.9,
        linestyle=(0, (6, 3)),
        label="threshold",
    )
    ax.set_xlim(0, table.time_ms.max())
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Membrane potential")
    # Below the axes: a spike train leaves no room inside them.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    return ax


def save_figure(figure, path, table):
    """Save a figure as PDF and PNG with the CSV of exactly the plotted numbers.

    Parameters
    ----------
    figure : Figure
    path : path
        Without suffix. Each file appears complete or not at all.
    table : DataFrame

    Returns
    -------
    paths : list of Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png", "csv")]
    pdf, png, csv = paths
    # The same figure gives the same bytes: no date in them.
    with replacing(pdf, "wb") as file:
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    with replacing(png, "wb") as file:
        figure.savefig(file, format="png")
    with replacing(csv) as file:
        table.to_csv(file, index=False)
    return paths


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
    order = {rule: index for index, rule in enumerate(RULES)}
    keys = table[["source", "rule"]].drop_duplicates().itertuples(index=False)
    for source, rule in sorted(
        keys, key=lambda k: (k[0] == "bsnn", order.get(k[1], 9))
    ):
        yield source, rule, table[(table.source == source) & (table.rule == rule)]


def _rule_style(source, rule):
    index = RULES.index(rule) if rule in RULES else len(RULES)
    style = {"color": COLOURS[index], "marker": MARKERS[index]}
    if source != "bsnn":
        style |= {"markerfacecolor": "none", "markersize": 6.5}
    return style


def _sequential_colour(index, n):
    # The lightest tenth of the map is lost on white paper.
    return matplotlib.colormaps[SEQUENTIAL](0.88 * index / max(n - 1, 1))


def _time_step_label(dt):
    return "0 (continuous)" if dt == 0 else f"{dt:g} ms"


def _layer_name(layer, output):
    if layer == 0:
        return "input"
    if layer == output:
        return "output"
    return "hidden" if output == 2 else f"hidden {layer}"


def _accuracy_axis(accuracy, ax):
    ax.set_ylabel("Test accuracy (%)")
    percent = 100 * accuracy[np.isfinite(accuracy)]
    if len(percent) == 0 or percent.max() - percent.min() < 10:
        return
    # Logarithmic in the error, to show differences at the top and collapses at once.
    # The error is never 0 there: half a per cent more than it is.
    shared, previous = ax.get_yscale() == "function", ax.get_ylim()
    ax.set_yscale(
        "function",
        functions=(
            lambda y: -np.log10(np.maximum(100.5 - y, 0.1)),
            lambda z: 100.5 - 10.0**-z,
        ),
    )
    marks = np.array(
        [0, 20, 40, 60, 70, 80, 85, 90, 93, 95, 97, 98, 98.5, 99, 99.5, 100]
    )
    low, high = percent.min() - 3, min(percent.max() + 0.3, 100)
    if shared:
        low, high = min(low, previous[0]), max(high, previous[1])
    inside = marks[(marks > low) & (marks <= high)]
    ax.yaxis.set_major_locator(FixedLocator(inside))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.set_ylim(low, high)


def _label_points(table, ax):
    # Labels go where there is room, those of the front first; the rest are in the CSV.
    ax.autoscale_view()
    taken = [_to_points(p, ax) for p in table.itertuples()]
    order = table.sort_values(["on_front", "source"], ascending=[False, True])
    corners = ax.bbox.get_points() * 72 / ax.figure.dpi

    def inside(place):
        return (corners[0] < place).all() and (place < corners[1]).all()

    for point in order.itertuples():
        here = _to_points(point, ax)
        text = f"{point.dt_ms:g}"
        for shift in ((5, 3), (5, -10), (-5 - 5 * len(text), 3), (-8, 7), (-3, -14)):
            centre = here + shift + (2.5 * len(text), 3)
            apart = np.abs(np.array(taken) - centre)
            if inside(centre) and not (apart < (8, 7)).all(axis=1).any():
                taken.append(centre)
                ax.annotate(
                    text,
                    (point.inverse_spikes, 100 * point.accuracy),
                    xytext=shift,
                    textcoords="offset points",
                    fontsize=8,
                    color="black" if point.on_front else "0.45",
                )
                break


def _to_points(point, ax):
    pixels = ax.transData.transform((point.inverse_spikes, 100 * point.accuracy))
    return pixels * 72 / ax.figure.dpi


def _zero_position(time_steps):
    positive = time_steps[time_steps > 0]
    return positive.min() / 2.2 if len(positive) else 1.0


def _log_dt_axis(time_steps, zero, ax):
    ax.set_xscale("log")
    low, high = time_steps[time_steps > 0].min(), time_steps.max()
    ticks = []
    for dt in sorted(set(time_steps[time_steps > 0]), reverse=True):
        if not ticks or dt < ticks[-1] / 1.4:
            ticks.append(dt)
    with_zero = (time_steps == 0).any()
    ax.xaxis.set_major_locator(FixedLocator([zero, *ticks] if with_zero else ticks))
    ax.xaxis.set_minor_locator(FixedLocator(time_steps[time_steps > 0].unique()))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda t, _: "0" if t <= zero else f"{t:g}")
    )
    left = zero if with_zero else low
    ax.set_xlim(left / 1.25, high * 1.2)
    ax.set_xlabel("Time step (ms)")
    if with_zero:
        # Two slanted strokes: the axis is broken between 0 and the first step.
        ax.plot(
            [np.sqrt(zero * low) / 1.04, np.sqrt(zero * low) * 1.04],
            [0, 0],
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker=[(-1, -2), (1, 2)],
            markersize=7,
            color="black",
            clip_on=False,
        )
