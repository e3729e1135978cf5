"""What a spike at time t becomes on a grid of step dt: a file for each rule.

Whatever the rule, with dt > 0 a spike is delivered at the end of the bin it falls in,
(floor(t/dt) + 1) dt; see `bins.py`. To add a rule, write its file and name it in RULES.
"""

from bsnn.equations.units import one_of

from .base import OPTIONS, TimeRule
from .bins import BIN_SHIFT, bin_index, count_steps, delivery_time
from .continuous import Continuous
from .grid import DETECT, Grid
from .quantised_event import QuantisedEvent

__all__ = [
    "BIN_SHIFT",
    "DETECT",
    "OPTIONS",
    "RULES",
    "TimeRule",
    "at",
    "bin_index",
    "count_steps",
    "delivery_time",
    "named",
]
# By name, in the order of every table and figure.
RULES = {rule.name: rule for rule in (Grid(), QuantisedEvent(), Continuous())}


def named(name: str) -> TimeRule:
    """Return the rule of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    return RULES[one_of(name, "rule", RULES)]


def at(dt: float, rule: TimeRule | None = None) -> TimeRule:
    """Return the rule at a time step: the one given if it has it, else the usual."""
    if rule is not None and rule.quantises == (dt > 0):
        return rule
    return RULES["grid" if dt > 0 else "continuous"]
