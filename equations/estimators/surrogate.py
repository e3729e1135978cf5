r"""Surrogate gradients: a spike that exists or does not, differentiated as if smooth.

Forwards a neuron fires where its margin g, as ``v - v_threshold``, is not negative.
Backwards the step from no spike to one has the derivative

    sigma'(g) = height/d shape(x),     x = g/(width d)

with d the depth of the neuron's initial state below threshold, 1 of ``v > 1`` at rest
in 0, so that width and height mean the same in any units. What a spike is worth, dL/ds,
is what it gives to the neurons that it reaches, to the neuron that it resets, and to
the loss; so all neurons learn in all steps, silent ones too, and no time of a spike is
differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from bsnn.equations.dimensions import OUTSIDE
from bsnn.equations.statements import algebra_of, symbol
from bsnn.equations.texts import check_expression
from bsnn.equations.units import as_positive

MARGIN, WIDTH, HEIGHT = "_margin", "_width_", "_height_"
# By name, as text of x: 1 at threshold.
SHAPES = {
    # Zenke & Ganguli 2018, doi:10.1162/neco_a_01086.
    "fast-sigmoid": "1/(1 + abs(x))**2",
    # Fang et al. 2021, arXiv:2007.05785.
    "arctan": "1/(1 + x**2)",
    # Bellec et al. 2018, arXiv:1803.09574.
    "triangle": "clip(1 - abs(x), 0, 1)",
    # Yin, Corradi & Bohte 2021, doi:10.1038/s42256-021-00397-w.
    "gaussian": "exp(-x**2/2)",
}


@dataclass(frozen=True)
class Surrogate:
    """What stands for the derivative of a spike.

    Parameters
    ----------
    shape : str
        "fast-sigmoid", "arctan", "triangle" or "gaussian"; or text of one's own, an
        expression of ``x``.
    width : float
        Of the shape, relative to the depth of the initial state below threshold.
    height : float
        Of the derivative at threshold, relative to that of a line from the initial
        state to threshold. A neuron that lingers there may spike in any of many small
        steps: where spikes feed back, let the height fall with the time step.

    Raises
    ------
    TypeError, ValueError
        If a number is not positive, or the shape is no expression of x.

    Examples
    --------
    >>> Surrogate("fast-sigmoid", width=1/25)  # snnTorch's of slope 25, for v > 1
    Surrogate(shape='fast-sigmoid', width=0.04, height=1.0)
    """

    shape: str = "fast-sigmoid"
    width: float = 0.2
    height: float = 1.0

    by_times = False  # whether a spike exists is differentiable, and no spike time

    def __post_init__(self):
        if not isinstance(self.shape, str):
            raise TypeError(f"'shape' must be text, got {self.shape!r}.")
        for name in ("width", "height"):
            object.__setattr__(self, name, as_positive(getattr(self, name), name))
        check_expression(self.text, {"x", *OUTSIDE}, "shape")
        if not self.expression.has(symbol(MARGIN)):
            raise ValueError(f"'shape' must be an expression of x, got {self.shape!r}.")

    @property
    def program(self) -> tuple[str, str]:
        """What of it is part of a compiled program."""
        return "surrogate", self.shape

    @property
    def text(self) -> str:
        return SHAPES.get(self.shape, self.shape)

    @property
    def expression(self):
        """sigma' as algebra of the margin, and of width and height in its unit."""
        x = symbol(MARGIN) / symbol(WIDTH)
        shape = algebra_of(self.text, "shape").xreplace({symbol("x"): x})
        return symbol(HEIGHT) * sp.sympify(shape)

    def numbers(self, dynamics) -> tuple[float, float]:
        """Return width and height in the unit of a neuron's margin.

        Raises
        ------
        ValueError
            If the initial state is not below threshold.
        """
        depth = dynamics.depth()
        if not depth > 0:
            raise ValueError(
                "a surrogate's width is relative to the depth of the initial state "
                f"below threshold {dynamics.neuron.threshold!r}, but it is not below; "
                "give 'initial' values at rest."
            )
        return self.width * depth, self.height / depth
