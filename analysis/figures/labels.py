"""What titles, legends and captions say of series, time steps and seeds."""

from bsnn.analysis.study import published, tables


def series_label(source, rule):
    """Return how a legend calls the runs of a source and rule."""
    return rule if source == "bsnn" else f"{rule}, published"


def time_step_label(dt):
    """Return how a legend calls a time step in ms."""
    return "0 (continuous)" if dt == 0 else f"{dt:g} ms"


def when(runs):
    """Return at which epoch runs were tested."""
    chosen = tables.validated(runs)
    return "at the epoch that validation chose" if chosen else "after the last epoch"


def subtitle(sweep, table, what="mean ± SD over seeds"):
    """Return data set, epochs and seeds of a figure, in one line."""
    text = f"{sweep.dataset}, {_span(sweep.runs.epochs)} epochs, "
    one = (table.n_seeds == 1).all()
    return text + ("one seed" if one else f"{what} ({_seeds(table)})")


def interval(sweep, table):
    """Return what the error bars are, and where published numbers come from."""
    note = f"Mean and standard deviation over seeds ({_seeds(table)})."
    if "published" in set(table.source):
        note += f" {published.citation(sweep.dataset)}"
    return note


def _seeds(table):
    text = []
    for source, name in (("bsnn", ""), ("published", "published: ")):
        n_seeds = table.n_seeds[table.source == source]
        if len(n_seeds):
            text.append(f"{name}n = {_span(n_seeds)}")
    return ", ".join(text)


def _span(values):
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"
