"""Colours and markers, the same for the same rule or time step in every figure."""

import matplotlib

from bsnn.analysis.study.series import PLAIN

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
LINE_STYLES = ("-", (0, (4, 1.5)), ":")
# Of a front: a step from point to point, each in a ring.
FRONT = {
    "color": "0.45",
    "linewidth": 1,
    "marker": "o",
    "markersize": 10,
    "markerfacecolor": "none",
    "markeredgewidth": 0.8,
}
SEQUENTIAL = "viridis"  # ordered, and safe under the same deficiencies


def each_series(table):
    """Yield source, rule, style (a dict) and rows of each series of a table.

    Raises
    ------
    ValueError
        If the rows of a source are of several data sets.
    """
    check_one_dataset(table)
    # Published points first, so that ours lie on top; rules in their fixed order.
    order = [*PLAIN, *sorted(set(table.rule) - set(PLAIN))]
    keys = table[["source", "rule"]].drop_duplicates().itertuples(index=False)
    for source, rule in sorted(keys, key=lambda k: (k[0] == "bsnn", order.index(k[1]))):
        points = table[(table.source == source) & (table.rule == rule)]
        yield source, rule, _series_style(source, order.index(rule)), points


def check_one_dataset(table):
    """Raise ValueError if the rows of a source are of several data sets."""
    # Published data may carry another name of the same data set; ours must be one.
    if "dataset" in table and "source" in table:
        for source, names in table.groupby("source").dataset.unique().items():
            if len(names) > 1:
                raise ValueError(
                    f"'table' must hold one data set, got {', '.join(sorted(names))} "
                    f"from {source}; select one of them."
                )


def sequential_colour(index, n):
    """Return the colour of number `index` among `n` time steps in order."""
    # The lightest part of the map is lost on white paper.
    return matplotlib.colormaps[SEQUENTIAL](0.82 * index / max(n - 1, 1))


def _series_style(source, index):
    style = {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
    }
    if source != "bsnn":
        style |= {"markerfacecolor": "none", "markersize": 6.5}
    return style
