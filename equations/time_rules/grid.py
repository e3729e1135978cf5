"""The rule of a clock-driven simulator."""

from .base import TimeRule

# Which crossings of threshold a bin can have: those that last until its end, or also
# those from which the potential fell back before.
DETECT = ("end", "crossing")


class Grid(TimeRule):
    """The potential is tested at the end of each bin; spike and reset are there, too.

    At most one spike per neuron and bin. With detect="crossing" a neuron also fires
    when its potential reached the threshold inside the bin and fell back before its
    end.
    """

    name = "grid"
    clock_driven = True
    options = ("detect",)

    def check(self, neuron, where):
        """Every neuron has a state at the ends of bins."""

    def reset_time(self, spikes):
        return spikes.arrival
