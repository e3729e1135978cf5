"""The figures of a sweep: which there are, from which tables, and what they say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bsnn import one_neuron
from bsnn.analysis import pareto, traces
from bsnn.analysis.study import published, tables
from bsnn.equations import time_rules
from bsnn.errors import RunFolderError
from bsnn.model import Model
from bsnn.runs import SPIKES, RunFolder

from . import raster as sample_plots
from . import style as plots

N_PANELS = 2  # rules that have a panel of their own, side by side
N_TRACES = 2  # neurons whose potential is drawn, in each panel
# One collapsed cell, with this many times the smallest error, would hide differences
# between the others: those with a little more than it are drawn once more alone.
COLLAPSED, NEAR_FRONT = 3, 1.5
N_STEPS = 5  # time steps in the figure of one neuron
AXIS = "Accuracies ten points or more apart have an axis logarithmic in the error."


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, the numbers in it, and its caption."""

    name: str
    figure: object
    table: pd.DataFrame
    caption: str


class NoData(Exception):
    """A figure that the sweep's data do not allow; the message says why."""


def make_figures(folder, out, *, dataset=None, load_weights=None):
    """Draw every figure that the data of a sweep allow.

    Parameters
    ----------
    folder : path
        A sweep folder, or one run folder.
    out : path
        Folder for the figures; made if there is none.
    dataset : str, optional
        Which data set, if the sweep has several.
    load_weights : callable, optional
        Returns the trained weights (list of ndarray, Hz) of a run folder's path;
        without it, or where it raises RunFolderError, there is no figure of membrane
        potentials.

    Returns
    -------
    written : list of Path
        A PDF, a PNG and a CSV of the plotted numbers for each figure.
    skipped : dict of str to str
        Figures that could not be drawn, and why.

    Raises
    ------
    RunFolderError
        If the folder holds no finished run, a damaged one, or several data sets.
    """
    sweep = tables.read_sweep(folder, dataset)
    written = []
    with plots.print_style():
        drawings, skipped = draw(sweep, load_weights)
        for drawing in drawings:
            path = Path(out) / drawing.name
            written += plots.save_figure(drawing.figure, path, drawing.table)
    return written, skipped


def draw(sweep, load_weights=None):
    """Return the list of `Drawing` that a `tables.Sweep` allows, and why not others."""
    drawings, skipped = [], {}
    for name, make in {
        "pareto": draw_pareto,
        "pareto_losses": draw_pareto_losses,
        "confidence": draw_confidence,
        "accuracy_over_dt": draw_accuracy,
        "spikes_over_dt": draw_spikes,
        "transfer": draw_transfer,
        "one_neuron": draw_one_neuron,
        "raster": draw_raster,
        "membrane": lambda sweep: draw_membrane(sweep, load_weights),
    }.items():
        try:
            figure, table, caption = make(sweep)
        except NoData as reason:
            skipped[name] = str(reason)
        else:
            plots.fix_layout(figure)
            drawings.append(
                Drawing(name=name, figure=figure, table=table, caption=caption)
            )
    return drawings, skipped


def draw_pareto(sweep):
    return _draw_pareto(sweep, of_one_loss(with_published(sweep)))


def draw_pareto_losses(sweep):
    runs = with_published(sweep)
    if len(of_one_loss(runs)) == len(runs):
        raise NoData("no run has a spike penalty or other targets beside those without")
    figure, table, caption = _draw_pareto(sweep, runs)
    names = (
        " Penalty: price of a hidden spike. Targets: spikes asked of the label and of "
        "the others. Mean: of each layer's initial weights, in Hz. Slope: the least in "
        "the gradient, in Hz."
    )
    return figure, table, caption + names


def _draw_pareto(sweep, runs):
    table = pareto.pareto_table(runs, at="last")
    if len(table) < 2:
        raise NoData("it needs two cells (time steps or rules)")
    error = 1 - table.accuracy
    panels = {"all": table}
    if error.max() > COLLAPSED * error.min():
        panels["near the front"] = table[error <= NEAR_FRONT * error.min()]
    figure, axes = plots.new_figure(len(panels), height=4.2)
    for ax, (title, part) in zip(axes, panels.items(), strict=True):
        plots.plot_pareto(part, ax)
        ax.set_title(title if len(panels) > 1 else None)
        ax.get_legend().remove()
    # Below the panels: within, there may be no place without points.
    entries = axes[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=3)
    figure.suptitle(_subtitle(sweep, table), fontsize=9)
    return (
        figure,
        table,
        "Test accuracy after the last epoch over the inverse of all hidden and output "
        "spikes of a test sample: better is up and to the right. Numbers are time "
        f"steps in ms, black on the Pareto front. {AXIS} " + _interval(sweep, table),
    )


def draw_confidence(sweep):
    if sweep.confidence.empty:
        raise NoData("no run has a confidence.csv")
    both = _joined(sweep.confidence, published.confidence(sweep.dataset))
    table = tables.mean_over_seeds(both, [*tables.CELL, "time_ms"], ["confidence"])
    ours = table[table.source == "bsnn"]
    rules = [rule for rule in _in_order(ours.rule) if rule != time_rules.CONTINUOUS]
    rules = rules[:N_PANELS] or [time_rules.CONTINUOUS]
    # Published points only where a line of ours goes past them.
    drawn = table.rule.isin([*rules, time_rules.CONTINUOUS])
    table = table[table.dt_ms.isin(ours.dt_ms) & table.rule.isin(ours.rule) & drawn]
    steps = sorted(table.dt_ms.unique())
    figure, axes = plots.new_figure(len(rules), height=3.6, sharey=True)
    for ax, rule in zip(axes, rules, strict=True):
        panel = table[table.rule.isin((rule, time_rules.CONTINUOUS))]
        plots.plot_confidence(panel, ax, steps)
        ax.set_title(rule)
    for ax in axes[1:]:
        ax.set_ylabel(None)
        ax.get_legend().remove()
    figure.suptitle(_subtitle(sweep, table), fontsize=9)
    return (
        figure,
        table,
        "Prediction confidence (spikes of the true label's output so far, over their "
        "target) after the last epoch, mean over the test set. Open markers: "
        "published. " + _interval(sweep, table),
    )


def draw_accuracy(sweep):
    runs = of_one_loss(with_published(sweep))
    _check_positive_dt(runs)
    figure, axes = plots.new_figure(2, height=3.2, sharey=True)
    parts = []
    for ax, at in zip(axes, ("best", "last"), strict=True):
        part = tables.cells(runs, at)
        plots.plot_over_dt(part, ax, "accuracy")
        ax.set_title(f"{at} epoch")
        parts.append(part.assign(epoch=at))
    axes[1].set_ylabel(None)
    axes[1].get_legend().remove()
    table = pd.concat(parts, ignore_index=True)
    figure.suptitle(_subtitle(sweep, table), fontsize=9)
    return (
        figure,
        table,
        "Test accuracy against the time step, at the epoch of the best test accuracy "
        f"and after the last one. {AXIS} " + _interval(sweep, table),
    )


def draw_spikes(sweep):
    runs = of_one_loss(with_published(sweep))
    _check_positive_dt(runs)
    table = tables.cells(runs, "last")
    figure, axes = plots.new_figure(2, height=3.2)
    for ax, value in zip(axes, ("total_spikes", "output_spikes"), strict=True):
        plots.plot_over_dt(table, ax, value)
    axes[1].get_legend().remove()
    figure.suptitle(_subtitle(sweep, table), fontsize=9)
    return (
        figure,
        table,
        "Spikes per test sample against the time step after the last epoch: all hidden "
        "and output spikes, and those of the output alone. " + _interval(sweep, table),
    )


def draw_transfer(sweep):
    by = [*tables.CELL, "test_dt_ms"]
    table = tables.mean_over_seeds(sweep.transfer, by, ["accuracy"])
    table = table[table.rule != time_rules.CONTINUOUS]
    rules = _in_order(table.rule)[:N_PANELS]
    table = table[table.rule.isin(rules)]
    if not rules:
        raise NoData(
            "no run was evaluated at other time steps; "
            "do so with 'bsnn evaluate RUN --dt-ms ...'"
        )
    width = "page" if len(rules) > 1 else "column"
    figure, axes = plots.new_figure(len(rules), width=width, height=3.4)
    for ax, rule in zip(axes, rules, strict=True):
        plots.plot_transfer(table[table.rule == rule], ax)
        ax.set_title(f"{rule}: test accuracy (%)")
    figure.suptitle(_subtitle(sweep, table, "mean over seeds"), fontsize=9)
    return (
        figure,
        table,
        "Test accuracy (%) of networks trained at one time step and run at another; "
        "framed where both are the same. Mean over seeds.",
    )


def draw_one_neuron(sweep):
    run = next(sweep.runs.itertuples())
    model = _model(sweep, run)
    steps = np.array(sorted(set(sweep.runs.dt_ms) - {0.0}))
    if model is None or not len(steps):
        raise NoData("it needs a time step above 0 and the model in config.json")
    chosen = np.unique(np.linspace(0, len(steps) - 1, N_STEPS).round().astype(int))
    try:
        table = one_neuron.count_table(model, steps[chosen])
    except ValueError as error:
        raise NoData(str(error)) from error
    target = sweep.configs[run.run].get("true")
    figure, axes = plots.new_figure(2, height=3.2, sharey=True)
    rules = (time_rules.GRID, time_rules.QUANTISED_EVENT)
    for ax, rule in zip(axes, rules, strict=True):
        panel = table[table.rule.isin((rule, time_rules.CONTINUOUS))]
        plots.plot_counts(panel, ax, target)
        ax.set_title(rule)
    axes[1].set_ylabel(None)
    axes[1].get_legend().remove()
    return (
        figure,
        table,
        "Spikes of one output neuron against its drive under two rules, beside its "
        f"count in continuous time. {one_neuron.INPUT} The charge is the sum of the "
        "weights times tau_syn, in thresholds.",
    )


def draw_raster(sweep):
    run, layers, label = _example(sweep)
    table = traces.raster_table(layers)
    figure, (ax,) = plots.new_figure(height=4.0)
    sample_plots.plot_raster(table, ax, label, _duration_ms(sweep, run))
    figure.suptitle(_example_title(sweep, run, label), fontsize=9)
    return (
        figure,
        table,
        "Spikes of one test sample in all layers, where they take effect. Each layer "
        "has a band of the same height; the output of the label is coloured. "
        f"Run {run.run}.",
    )


def draw_membrane(sweep, load_weights):
    run, layers, label = _example(sweep)
    if load_weights is None:
        raise NoData("it needs the trained weights, and no way to load them was given")
    model = _model(sweep, run)
    if model is None:
        raise NoData(f"the config.json of {run.run} does not describe the model")
    try:
        weights = load_weights(_path(sweep, run))
    except RunFolderError as error:
        raise NoData(str(error)) from error
    figure, axes = plots.new_figure(2, height=3.2)
    parts = []
    for ax, layer, name in zip(axes, (0, -1), ("hidden", "output"), strict=True):
        if layer == 0 and model.n_layers == 1:
            ax.set_visible(False)
            continue
        own = layers[1:][layer]
        first = [label] if layer == -1 else []
        neurons = _most_active(own, first)
        part = traces.trace_table(model, weights, layers, layer, neurons)
        sample_plots.plot_membrane(part, ax, label if layer == -1 else None)
        ax.set_title(f"{name} layer")
        parts.append(part.assign(layer=name))
    figure.suptitle(_example_title(sweep, run, label), fontsize=9)
    return (
        figure,
        pd.concat(parts, ignore_index=True),
        "Membrane potentials of the most active neurons of one test sample, and of the "
        "label's output, reconstructed from spikes and weights in closed form. "
        f"Run {run.run}.",
    )


def with_published(sweep):
    """Return the runs of a sweep and, below them, the published ones."""
    return _joined(sweep.runs, published.runs(sweep.dataset))


def of_one_loss(runs):
    """Return the runs with the loss of the study; all, where none of ours has it."""
    plain = runs.rule.isin(plots.RULES)
    return runs[plain] if (plain & (runs.source == "bsnn")).any() else runs


def _joined(ours, theirs):
    shared = [column for column in ours if column in theirs]
    parts = [table[shared] for table in (ours, theirs) if len(table)]
    return pd.concat(parts, ignore_index=True)


def _example(sweep):
    # The run a reader looks at first: on the grid, with a step near 1 ms.
    runs = sweep.runs.assign(
        off_grid=sweep.runs.rule != time_rules.GRID,
        distance=abs(np.log(sweep.runs.dt_ms.clip(lower=1e-3))),
    ).sort_values(["off_grid", "distance", "seed"])
    for run in runs.itertuples():
        if (_path(sweep, run) / SPIKES).is_file():
            layers, labels = RunFolder(_path(sweep, run)).spikes()
            _check_example(sweep, run, layers, labels)
            return run, [layer.select(0, 1) for layer in layers], int(labels[0])
    raise NoData("no run has a spikes.npz")


def _check_example(sweep, run, layers, labels):
    sizes = [layer.n_neurons for layer in layers]
    fits = 0 <= labels[0] < sizes[-1]
    model = _model(sweep, run)
    if fits and model is not None:
        on_grid = model.rule == time_rules.GRID
        fits = sizes == [model.n_inputs, *model.layer_sizes] and (
            on_grid or all(layer.time is not None for layer in layers[1:])
        )
    if not fits:
        raise RunFolderError(
            f"the {SPIKES} of {run.run} is not that of its model; delete this run "
            "folder and run it again."
        )


def _path(sweep, run):
    inside = sweep.folder / run.run
    return inside if inside.is_dir() else sweep.folder


def _model(sweep, run):
    description = sweep.configs[run.run].get("model")
    return None if description is None else Model.from_dict(description)


def _duration_ms(sweep, run):
    model = _model(sweep, run)
    return None if model is None else 1e3 * model.duration_seconds


def _most_active(layer, first):
    counts = layer.counts()[0].astype(float)
    counts[first] = np.inf
    return np.argsort(-counts, kind="stable")[:N_TRACES].tolist()


def _check_positive_dt(runs):
    if not (runs.dt_ms > 0).any():
        raise NoData("it needs a time step above 0")


def _in_order(rules):
    """Return the time rules in their fixed order, before those with another loss."""
    present = set(rules)
    known = [rule for rule in plots.RULES if rule in present]
    return known + sorted(present - set(known))


def _subtitle(sweep, table, what="mean ± SD over seeds"):
    if (table.n_seeds == 1).all():
        return f"{sweep.dataset}, {_span(sweep.runs.epochs)} epochs, one seed"
    return (
        f"{sweep.dataset}, {_span(sweep.runs.epochs)} epochs, {what} ({_seeds(table)})"
    )


def _seeds(table):
    text = []
    for source, name in (("bsnn", ""), ("published", "published: ")):
        n_seeds = table.n_seeds[table.source == source]
        if len(n_seeds):
            text.append(f"{name}n = {_span(n_seeds)}")
    return ", ".join(text)


def _interval(sweep, table):
    note = f"Mean and standard deviation over seeds ({_seeds(table)})."
    if "published" in set(table.source):
        note += f" {published.citation(sweep.dataset)}"
    return note


def _span(values):
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _example_title(sweep, run, label):
    step = "continuous time" if run.dt_ms == 0 else f"time step {run.dt_ms:g} ms"
    rule = "" if run.dt_ms == 0 else f"{run.rule}, "
    return f"{sweep.dataset}, {rule}{step}, test sample 0 (label {label})"
