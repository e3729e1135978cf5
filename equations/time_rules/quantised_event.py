"""The rule of spikes that happen when they may and are sent when a bin ends."""

from .event import EventRule


class QuantisedEvent(EventRule):
    """What a neuron sends waits for its bin's end, after which its next crossing comes.

    The neuron itself is solved in continuous time and reset at the crossing.
    """

    name = "quantised-event"
