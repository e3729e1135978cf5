"""The rule of spikes that happen at any time and are sent when a bin ends."""

from .event import EventRule


class QuantisedEvent(EventRule):
    """A spike is sent at the end of its bin; the next crossing comes after that.

    The neuron itself is solved in continuous time and reset at the crossing.
    """

    name = "quantised-event"
