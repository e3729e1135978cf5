"""The rule without time steps."""

from .event import EventRule


class Continuous(EventRule):
    """Every spike acts at its own time: exact, the limit of small steps."""

    name = "continuous"
    quantises = False
