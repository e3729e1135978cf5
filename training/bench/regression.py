"""A bench beside an older one: what became faster or slower."""

import json
from pathlib import Path

import pandas as pd

from bsnn.errors import DataError

from .neurons import BATCH_SIZE as ADEX_BATCH_SIZE
from .recurrent import BATCH_SIZE
from .report import Spread, speeds

WORST = 0.95  # of what was: less is marked


def measures(found):
    """Return what a report says of speed.

    Parameters
    ----------
    found : dict
        As a `BenchReport` is in JSON.

    Returns
    -------
    measures : dict of str to Spread
        Samples per second of ours, and how many times as fast it is as what was
        measured in the same run.

    Raises
    ------
    DataError
        If it is no report of a bench.
    """
    try:
        return dict(_measures(found))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as why:
        raise DataError(
            f"it must be a report of 'bsnn bench --out', got something else ({why!r})"
        ) from why


def _measures(found):
    if "workloads" in found:
        for name, report in found["workloads"].items():
            for what, measured in _measures(report):
                yield f"{name}, {what}", measured
    elif "chain" in found:
        yield from _of_neurons(found["chain"], found["adex"])
        ours = _of_batches(found["adex"], ADEX_BATCH_SIZE)
        for name, ratio in _over_peers(ours, found.get("peers", [])):
            yield f"AdEx, {name}", ratio
    elif "points" in found:
        for point in found["points"]:
            for kind in ("forward", "training"):
                ours, cpp = (_speed(point[t][kind]) for t in ("cuda", "cpp"))
                name = f"{kind} at {point['replicas']} replicas"
                yield from [(name, ours), (f"{name} / C++", _over(ours, cpp))]
    else:
        yield from _beside(found)


def _speed(found, n=None):
    """Return samples per second, or of seconds in which `n` were done."""
    spread = Spread(**{name: float(value) for name, value in found.items()})
    return spread if n is None else spread.per_second(n)


def _of_batches(found, n):
    return speeds({name: _speed(found[name]) for name in ("call", "training")}, n)


def _exactly(ratio):
    return Spread(median=ratio, low=ratio, high=ratio, n=1)


def _over(one, other):
    return _exactly(one.median / other.median)


def _of_neurons(chain, adex):
    fast = _speed(chain["fast"])
    yield "chain, fast path", fast
    for name in ("modes", "adjoint"):
        speed = _speed(chain[name])
        yield f"chain, {name}", speed
        yield f"chain, {name} / fast path", _over(speed, fast)
    ours, stock = (_speed(adex[name], 1) for name in ("call", "stock"))
    yield "AdEx, calls", ours
    yield "AdEx, calls / stock Brian2", _over(ours, stock)
    yield "AdEx, training steps", _speed(adex["training"], 1)


def _beside(found):
    """Yield ours, and the ratio to stock Brian2 and to each library."""
    if "found" in found:  # seconds of a batch
        ours = _of_batches(found["found"], BATCH_SIZE)
        for stock in found["stock"]:
            theirs = _speed(stock["call"], BATCH_SIZE)
            yield "forward / stock Brian2", _over(ours["forward"], theirs)
    else:
        ours = {kind: _speed(found[kind]) for kind in ("forward", "training")}
        for stock in found["stock"]:
            name = f"call of {stock['n_samples']} / stock Brian2"
            yield name, _exactly(float(stock["ratio"]))
    yield from ours.items()
    yield from _over_peers(ours, found["peers"])


def _over_peers(ours, peers):
    for peer in peers:
        for kind in () if "error" in peer else ours:
            theirs = _speed(peer[kind])
            yield f"{kind} / {peer['name']}", _over(ours[kind], theirs)


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
            "ratio": f"{_over(new[name], old[name]).median:.2f}",
            "": "slower" if _slower(new[name], old[name]) else "",
        }
        for name in shared
    ]
    return pd.DataFrame(rows).to_string(index=False)


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _slower(new, old):
    return _over(new, old).median < WORST and (
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
