"""What a time rule is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from .bins import count_steps

# What a model says besides its rule, with the value it has under other rules.
OPTIONS = {"detect": "end", "max_spikes": None}
_REMEDIES = {
    "detect": "belongs to the rule 'grid'; leave it out.",
    "max_spikes": "needs an event rule: on the grid the duration bounds the spikes; "
    "leave it out, or name an event rule.",
}


class TimeRule(ABC):
    """What becomes of a spike at continuous time t."""

    name: ClassVar[str]
    # Whether there are bins, dt > 0.
    quantises: ClassVar[bool] = True
    # Whether the potential is tested at the ends of bins alone, as by a clock.
    clock_driven: ClassVar[bool] = False
    # Which of OPTIONS belong to it.
    options: ClassVar[tuple[str, ...]] = ()

    def check_dt(self, dt: float) -> None:
        """Raise ValueError unless the rule has time steps of `dt` seconds."""
        if self.quantises != (dt > 0):
            raise ValueError(
                "'dt' must be 0 under the rule 'continuous' and positive under the "
                f"others, got {dt} s under {self.name!r}."
            )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError if one that belongs to another rule is not as in OPTIONS."""
        for name, value in self.own(options).items():
            if options[name] != value:
                raise ValueError(f"'{name}' {_REMEDIES[name]}")

    def own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return OPTIONS as given where they belong to the rule, else as they are."""
        return {
            name: options[name] if name in self.options else default
            for name, default in OPTIONS.items()
        }

    def n_steps(self, duration: float, dt: float) -> int:
        """Return how many bins of `dt` seconds a sample has; 0 where time has none."""
        return count_steps(duration, dt) if self.quantises else 0

    @abstractmethod
    def check(self, neuron, where: str) -> None:
        """Raise ValueError, saying `where` it is, unless the rule has the neuron."""

    @abstractmethod
    def reset_time(self, spikes):
        """Return when each of a layer's `Spikes` reset its neuron, in seconds.

        None if the spikes do not hold that.
        """

    def __repr__(self):
        return f"<time rule {self.name!r}>"
