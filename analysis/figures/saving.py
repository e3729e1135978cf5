"""Figures and their numbers as files."""

import io
from pathlib import Path

from bsnn.files import replacing


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
