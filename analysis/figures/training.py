"""Loss and accuracy over the epochs, one line for each time step."""

from bsnn.analysis.study import tables
from bsnn.analysis.study.series import is_limit, of_one_loss, panel_rules
from bsnn.analysis.study.sweep import NoData

from .colours import LINE_STYLES, sequential_colour
from .labels import interval, subtitle, time_step_label
from .style import N_PANELS, new_figure


def draw(sweep):
    """Return figure, table and caption."""
    epochs = of_one_loss(sweep.metrics)
    if epochs.epoch.nunique() < 2:
        raise NoData("it needs the metrics.csv of two epochs")
    rules = panel_rules(epochs)[:N_PANELS]
    seen = "validation" if (epochs.split == "validation").any() else "test"
    shown = is_limit(epochs) | epochs.rule.isin(rules)
    epochs = epochs[shown & epochs.split.isin(("train", seen))]
    by = [*tables.CELL, "split", "epoch"]
    table = tables.mean_over_seeds(epochs, by, ["accuracy", "loss"])
    figure, axes = new_figure(2, height=3.2)
    for ax, split, value, title in (
        (axes[0], "train", "loss", "training samples"),
        (axes[1], seen, "accuracy", f"{seen} samples"),
    ):
        plot(table[table.split == split], ax, value, rules)
        ax.set_title(title)
    axes[1].get_legend().remove()
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    styles = ""
    if len(rules) > 1:
        styles = f"Full lines: {rules[0]}; dashed: {rules[1]}. "
    caption = (
        f"Loss over the training samples and accuracy over the {seen} samples, epoch "
        f"by epoch. {styles}" + interval(sweep, table)
    )
    return figure, table, caption


def plot(table, ax, value, rules):
    """Draw loss or accuracy over the epochs, a line for each time step and rule.

    Parameters
    ----------
    table : DataFrame
        Columns `tables.CELL`, `epoch`, the value and its ``_sd``.
    ax : Axes
    value : {"loss", "accuracy"}
    rules : list of str
        Each has a line style of its own; a limit beside them has the first.
    """
    scale, name = (1, "Loss") if value == "loss" else (100, "Accuracy (%)")
    steps = sorted(table.dt_ms.unique())
    for (rule, dt), line in table.groupby(["rule", "dt_ms"]):
        mean, spread = scale * line[value], scale * line[f"{value}_sd"].fillna(0)
        colour = sequential_colour(steps.index(dt), len(steps))
        number = rules.index(rule) if rule in rules else 0
        ax.plot(
            line.epoch,
            mean,
            color=colour,
            linestyle=LINE_STYLES[number],
            marker="o" if len(line) < 20 else None,
            markersize=3,
            label=time_step_label(dt) if number == 0 else None,
        )
        low, high = mean - spread, mean + spread
        ax.fill_between(line.epoch, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.set_xlabel("Epoch")
    ax.set_ylabel(name)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(title="Time step", handlelength=2.5)
    return ax
