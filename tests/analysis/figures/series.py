"""What was drawn of a series."""

import numpy as np


def series(ax, label):
    """The data line and the error bars of a series, by its label in the legend."""
    (found,) = [c for c in ax.containers if c.get_label() == label]
    line, _, bars = found.lines
    return line.get_xydata(), [np.array(b.get_segments()) for b in bars]
