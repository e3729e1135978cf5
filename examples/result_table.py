"""A CSV file of results, each in it once: what stops goes on where it stood."""

import pandas as pd

# Colour and marker of what stands for the derivative of a spike.
ESTIMATOR_STYLES = {
    "straight-through": ("#0072B2", "o"),
    "triangle": ("#D55E00", "s"),
    "fast-sigmoid": ("#009E73", "^"),
}


def has(path, told_by):
    """Return whether a file has a row with these values, of a dict by column."""
    if not path or not path.exists():
        return False
    table = pd.read_csv(path)
    return bool((table[list(told_by)] == pd.Series(told_by)).all(axis=1).any())


def add(path, rows, told_by):
    """Add rows, dicts by column, to a file that is made if there is none.

    Those stay out whose values in the columns `told_by` are in the file.
    """
    for row in rows:
        if not has(path, {name: row[name] for name in told_by}):
            table = pd.DataFrame([row]).round(3)
            table.to_csv(path, mode="a", header=not path.exists(), index=False)


def draw_spread(ax, groups, **style):
    """Draw means of grouped values over the groups; bars: their least and most."""
    mean, low, high = groups.mean(), groups.min(), groups.max()
    spread = [(mean - low).clip(0), (high - mean).clip(0)]  # rounding of the mean
    ax.errorbar(mean.index, mean, spread, markersize=5, capsize=2, **style)
