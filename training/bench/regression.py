"""A bench beside an older one: what became faster or slower."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bsnn.errors import DataError

from .recurrent import BATCH_SIZE
from .report import Spread

WORST = 0.95  # of what was: less is marked


@dataclass(frozen=True)
class Measured:
    """A speed, of which more is better, or a ratio to what was measured beside it."""

    low: float
    median: float
    high: float

    @classmethod
    def speed(cls, spread, n=None):
        """Return samples per second, or of seconds in which `n` were done."""
        spread = Spread(**spread)
        spread = spread if n is None else spread.per_second(n)
        return cls(spread.low, spread.median, spread.high)

    @classmethod
    def ratio(cls, value):
        return cls(value, value, value)

    def over(self, other):
        return Measured.ratio(self.median / other.median)


def measures(found):
    """Return what a report says of speed.

    Parameters
    ----------
    found : dict
        As a `BenchReport` is in JSON.

    Returns
    -------
    measures : dict of str to Measured
        Samples per second of ours, and how many times as fast it is as what was
        measured in the same run.

    Raises
    ------
    DataError
        If it is no report of a bench.
    """
    try:
        return dict(_measures(found))
    except (AttributeError, KeyError, TypeError, ZeroDivisionError) as error:
        raise DataError(
            f"it must be a report of 'bsnn bench --out', got something else ({error!r})"
        ) from error


def _measures(found):
    if "workloads" in found:
        for name, report in found["workloads"].items():
            for what, measured in _measures(report):
                yield f"{name}, {what}", measured
    elif "chain" in found:
        yield from _of_neurons(found["chain"], found["adex"])
    elif "points" in found:
        for point in found["points"]:
            for kind in ("forward", "training"):
                ours, cpp = (Measured.speed(point[t][kind]) for t in ("cuda", "cpp"))
                name = f"{kind} at {point['replicas']} replicas"
                yield from [(name, ours), (f"{name} / C++", ours.over(cpp))]
    else:
        yield from _beside(found)


def _of_neurons(chain, adex):
    fast = Measured.speed(chain["fast"])
    yield "chain, fast path", fast
    for name in ("modes", "adjoint"):
        speed = Measured.speed(chain[name])
        yield f"chain, {name}", speed
        yield f"chain, {name} / fast path", speed.over(fast)
    ours, stock = (Measured.speed(adex[name], 1) for name in ("call", "stock"))
    yield "AdEx, calls", ours
    yield "AdEx, calls / stock Brian2", ours.over(stock)
    yield "AdEx, training steps", Measured.speed(adex["training"], 1)


def _beside(found):
    """Yield ours, and the ratio to stock Brian2 and to each library."""
    if "found" in found:  # seconds of a batch
        kinds = {"forward": "call", "training": "training"}
        ours = {
            kind: Measured.speed(found["found"][name], BATCH_SIZE)
            for kind, name in kinds.items()
        }
        for stock in found["stock"]:
            theirs = Measured.speed(stock["call"], BATCH_SIZE)
            yield "forward / stock Brian2", ours["forward"].over(theirs)
    else:
        ours = {kind: Measured.speed(found[kind]) for kind in ("forward", "training")}
        for stock in found["stock"]:
            name = f"call of {stock['n_samples']} / stock Brian2"
            yield name, Measured.ratio(stock["ratio"])
    yield from ours.items()
    for peer in found["peers"]:
        for kind in () if "error" in peer else ours:
            theirs = Measured.speed(peer[kind])
            yield f"{kind} / {peer['name']}", ours[kind].over(theirs)


def comparison_table(new, old):
    """Return the speeds of two reports, and the new over the old, as text.

    Parameters
    ----------
    new, old : dict
        As a `BenchReport` is in JSON, of the same kind.

    Returns
    -------
    text : str
        A line for each measure of both. One below `WORST` is marked, unless the
        quartiles of both overlap.

    Raises
    ------
    DataError
        If one is no report, or they have nothing in common.
    """
    new, old = measures(new), measures(old)
    shared = [name for name in new if name in old]
    if not shared:
        raise DataError(
            "they measured different things; compare reports of the same 'bsnn bench' "
            "options."
        )
    width = max(map(len, shared))
    rows = [
        {
            "measure": f"{name:<{width}}",
            "before": _number(old[name].median),
            "now": _number(new[name].median),
            "ratio": f"{new[name].over(old[name]).median:.2f}",
            "": "slower" if _slower(new[name], old[name]) else "",
        }
        for name in shared
    ]
    return pd.DataFrame(rows).to_string(index=False)


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _slower(new, old):
    return new.over(old).median < WORST and (
        new.high < old.low or new.low == new.high  # a ratio has no quartiles
    )


def read_report(path):
    """Return a report that ``bsnn bench --out`` wrote, as a dict.

    Raises
    ------
    DataError
        If the file cannot be read, or is none.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' cannot be read ({error}).") from error
    try:
        measures(found)
    except DataError as error:
        raise DataError(f"'{path}': {error.args[0]}.") from error
    return found
