"""Which figures a study has, and all of them at once.

Another figure is a file beside this one, whose function returns the figure, the table
of the plotted numbers and the caption, and a row below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bsnn.analysis.study.sweep import NoData, read_sweep

from . import (
    accuracy,
    confidence,
    decision,
    membrane,
    one_neuron,
    pareto,
    raster,
    spikes,
    training,
    transfer,
)
from .saving import save_figure
from .style import fix_layout, print_style

FIGURES = {
    "pareto": pareto.draw,
    "pareto_losses": pareto.draw_losses,
    "decision": decision.draw,
    "confidence": confidence.draw,
    "accuracy_over_dt": accuracy.draw,
    "spikes_over_dt": spikes.draw,
    "transfer": transfer.draw,
    "one_neuron": one_neuron.draw,
    "training": training.draw,
    "raster": raster.draw,
    "membrane": membrane.draw,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, the numbers in it, and its caption."""

    name: str
    figure: object
    table: pd.DataFrame
    caption: str


def make_figures(
    folder: str | Path,
    out: str | Path,
    *,
    dataset: str | None = None,
    load_weights: Callable | None = None,
) -> tuple[list[Path], dict[str, str]]:
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
    sweep = read_sweep(folder, dataset, load_weights)
    written = []
    with print_style():
        drawings, skipped = draw_all(sweep)
        for drawing in drawings:
            path = Path(out) / drawing.name
            written += save_figure(drawing.figure, path, drawing.table)
    return written, skipped


def draw_all(sweep):
    """Return the list of `Drawing` that a `Sweep` allows, and why not others."""
    drawings, skipped = [], {}
    for name, draw in FIGURES.items():
        try:
            figure, table, caption = draw(sweep)
        except NoData as reason:
            skipped[name] = str(reason)
        else:
            fix_layout(figure)
            drawings.append(
                Drawing(name=name, figure=figure, table=table, caption=caption)
            )
    return drawings, skipped
