"""Figures that suit print: their size, lines and letters."""

import contextlib

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTHS = {"column": 3.5, "page": 7.0}  # inches of print
N_PANELS = 2  # rules that have a panel of their own, side by side

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


@contextlib.contextmanager
def print_style():
    """Be in a context in which figures suit print; settings are restored after it.

    Whatever a matplotlibrc or a style says, figures look the same.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_PRINT)
        yield


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


def fix_layout(figure):
    """Lay a finished figure out once, not each time it is written."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
