r"""Straight-through spike times: a spike's time moves with its threshold crossing.

A neuron whose margin g, as ``v - v_threshold``, reaches 0 at t within a step fires, and
its spike is delivered at T >= t, on the grid at the step's end. Backwards
dT/dt = 1, straight through the grid (Bengio et al. 2013), and the crossing itself is
differentiated implicitly (Bohte et al. 2002): with g'(t) its slope and q dL/dg there,

    q = -(dL/dT) / min(max(g'(t), slope_min), slope_cap slope_min).

What q is given to is the derivative of g at t by what made it. Where in the step t is,
and with which slope, the estimator says:

    exact    g(F(a, h)) = 0, along the method's own partial step F from the state a
    linear   on the chord from g at the start of the step to g at its end
    end      at the end of the step, with the slope there

A neuron that is above threshold as the step begins crossed nowhere in it: its t is the
start (under "end" the end), its slope the larger of those at the start and at the end.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from bsnn.equations.units import as_number, one_of

CROSSINGS = ("exact", "linear", "end")


@dataclass(frozen=True)
class StraightThrough:
    """What stands for the derivative of a spike: that of its crossing's time.

    Parameters
    ----------
    crossing : {"exact", "linear", "end"}
        Where in its step a spike crossed threshold, and how steeply.
    slope_cap : float, optional
        Slopes count as at most so many times the least slope; with 1 all count alike.
        Unless given, they are not bounded above.

    Raises
    ------
    TypeError, ValueError
        If a value is another.

    References
    ----------
    Bohte et al. 2002, doi:10.1016/S0925-2312(01)00658-0.
    Bengio et al. 2013, arXiv:1308.3432.
    """

    crossing: str = "exact"
    slope_cap: float | None = None

    by_times = True  # spike times are differentiable, and not whether a spike exists

    def __post_init__(self):
        one_of(self.crossing, "crossing", CROSSINGS)
        if self.slope_cap is not None:
            cap = as_number(self.slope_cap, "slope_cap")
            if cap < 1:
                raise ValueError(
                    f"'slope_cap' must be 1 or more, got {cap}; it is relative to the "
                    "least slope."
                )
            object.__setattr__(self, "slope_cap", cap)

    @property
    def program(self) -> tuple[str, str]:
        """What of it is part of a compiled program."""
        return "straight-through", self.crossing

    def slopes(self, slope_min: float) -> tuple[float, float]:
        """Return between which numbers slopes are held, given the least."""
        if self.slope_cap is None:
            return slope_min, sys.float_info.max
        return slope_min, self.slope_cap * slope_min
