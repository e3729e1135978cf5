"""What titles, legends and captions say of series, time steps and seeds."""

from bsnn.analysis.pareto import accuracy_error
from bsnn.analysis.study import published, tables
from bsnn.settings import SETTINGS, TAGS


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


def tags_note(rules):
    """Return what the words and numbers behind the commas of series names are.

    Parameters
    ----------
    rules : iterable of str
        As `series.rule_name` returns them; only what occurs in them is told.
    """
    told = []
    for tag, names in TAGS.items():
        word = tag.replace("-", " ")
        if any(f", {word} " in rule for rule in rules):
            told.append(f"{word.capitalize()}: {' / '.join(map(_meaning, names))}.")
    return " ".join(told)


def _meaning(name):
    setting = SETTINGS[name]
    text = setting.help.partition(", in place of")[0].partition(" (default")[0]
    return f"{text}, in {setting.unit}" if setting.unit else text


def subtitle(sweep, table, what="mean ± SD over seeds"):
    """Return data set, epochs and seeds of a figure, in one line."""
    text = f"{sweep.dataset}, {_span(sweep.runs.epochs)} epochs, "
    one = (table.n_seeds == 1).all()
    return text + ("one seed" if one else f"{what} ({_seeds(table)})")


def interval(sweep, table):
    """Return what the error bars are, and where published numbers come from."""
    note = f"Mean and standard deviation over seeds ({_seeds(table)})."
    note = "One seed." if (table.n_seeds == 1).all() else note
    if "published" in set(table.source):
        note += f" {published.citation(sweep.dataset)}"
    return note


def accuracy_interval(table):
    """Return how sure accuracies of one seed are, '' where that is unknown."""
    if (table.n_seeds > 1).any() or table.test_samples.isna().any():
        return ""
    error = 100 * accuracy_error(table).max()
    return (
        f"Accuracies, of {_span(table.test_samples)} test samples, have a standard "
        f"error of {error:.1f} % or less. "
    )


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
