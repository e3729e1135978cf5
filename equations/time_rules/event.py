"""What the rules that solve neurons in continuous time have in common."""

from bsnn.equations.linear import is_quadratic

from .base import TimeRule


class EventRule(TimeRule):
    """A neuron fires, and is reset, at the instant its potential reaches threshold."""

    options = ("max_spikes",)

    def check(self, neuron, where):
        # Solved in closed form, as the root of a quadratic.
        tau_mem, tau_syn = neuron.modes.tau
        if not is_quadratic(tau_mem, tau_syn):
            raise ValueError(
                f"'tau_mem' of {where} must be 2 tau_syn under the rule "
                f"{self.name!r}, got {tau_mem} s and {tau_syn} s; use the rule 'grid'."
            )

    def reset_time(self, spikes):
        return spikes.time
