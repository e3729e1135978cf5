"""``Synapses`` as a connection: its pairs, weights and delays, and back again."""

from dataclasses import dataclass

import numpy as np
from brian2.groups.neurongroup import NeuronGroup
from brian2.groups.subgroup import Subgroup
from brian2.synapses.synapses import Synapses
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS

from bsnn.equations.synapse import WEIGHT
from bsnn.patterns import Pattern

from .names import literal, with_dimension
from .on_pre import OnPre, read_on_pre
from .refusal import naming, refusal


@dataclass(frozen=True, eq=False)
class Joined:
    """Synapses that have been taken over.

    Attributes
    ----------
    synapses : Synapses
    on_pre : OnPre
    arguments : dict
        Of the `Connection`.
    weights : ndarray
        In SI units, in the shape that the connection has them.
    """

    synapses: Synapses
    on_pre: OnPre
    arguments: dict
    weights: np.ndarray

    def put_back(self, weights, delays=None):
        """Set the weights of the synapses, and their delays.

        Parameters
        ----------
        weights : array_like, shape of `weights`
            In SI units.
        delays : Quantity, optional
            In the shape that the connection has them.
        """
        weights = np.asarray(weights)
        if weights.shape != self.weights.shape:
            raise ValueError(
                f"the weights of {self.synapses.name!r} must have shape "
                f"{self.weights.shape}, got {weights.shape}."
            )
        # What training left alone keeps the digits that single precision has not.
        same = weights == self.weights.astype(weights.dtype)
        weights = np.where(same, self.weights, weights)
        (pathway,) = self.synapses._pathways
        if delays is not None:
            pathway.variables["delay"].set_value(np.asarray(delays, float).ravel())
        if self.on_pre.variable is not None:
            variable = self.synapses.variables[self.on_pre.variable]
            variable.set_value(weights.ravel())
        else:
            self._put_constant(pathway, weights[0])

    def _put_constant(self, pathway, weight):
        dimension = getattr(self.on_pre.value, "dim", DIMENSIONLESS)
        value = with_dimension(weight, dimension)
        if self.on_pre.constant is None:
            target = self.on_pre.text.removesuffix(WEIGHT)
            pathway.code = f"{target}{literal(value)}"
        else:
            own = {**self.synapses.namespace, self.on_pre.constant: value}
            self.synapses.namespace = pathway.namespace = own


def joined(synapses, namespace):
    """Read what synapses join, and how.

    Parameters
    ----------
    synapses : Synapses
    namespace : Mapping
        Of the run.

    Returns
    -------
    Joined

    Raises
    ------
    ValueError
        If they do something that a connection cannot.
    """
    _check(synapses)
    (pathway,) = synapses._pathways
    on_pre = read_on_pre(synapses, pathway.code, namespace)
    i, j = _pairs(synapses)
    source, target = whole(synapses.source), whole(synapses.target)
    n_pre, n_post = int(source.N), int(target.N)
    values = None
    if on_pre.variable is not None:
        values = synapses.variables[on_pre.variable]
    shared = values is None or values.scalar
    dense = not shared and np.array_equal(i * n_post + j, np.arange(n_pre * n_post))
    with naming(synapses):
        pattern = None if dense else Pattern(i, j, np.zeros_like(i) if shared else None)
    found = np.asarray(on_pre.value if values is None else values.get_value(), float)
    return Joined(
        synapses,
        on_pre,
        {
            "source": source.name,
            "target": target.name,
            "on_pre": on_pre.text,
            "delay": _delay(pathway, (n_pre, n_post) if dense else (-1,)),
            "pattern": pattern,
            "name": synapses.name,
        },
        found.reshape((n_pre, n_post) if dense else (-1,)).copy(),
    )


def whole(group):
    """Return the group that a subgroup is part of, or itself."""
    return group.source if isinstance(group, Subgroup) else group


def _pairs(synapses):
    """Return the neurons of each pair, counted in the whole groups."""
    return tuple(
        np.asarray(synapses.variables[name].get_value(), np.int64)
        for name in ("_synaptic_pre", "_synaptic_post")
    )


def _delay(pathway, shape):
    values = np.asarray(pathway.variables["delay"].get_value(), float).reshape(-1)
    if (values == values[0]).all():
        return float(values[0]) * second
    return Quantity(values.reshape(shape), dim=second.dim)


def _check(synapses):
    equations = synapses.equations
    if not isinstance(whole(synapses.target), NeuronGroup):
        raise refusal(synapses, "it leads to something else than a NeuronGroup.")
    if synapses.summed_updaters:
        names = ", ".join(synapses.summed_updaters)
        raise refusal(
            synapses,
            f"it sums into {names} in every step (summed); only spikes are carried: "
            "gap junctions and graded synapses have none.",
        )
    if synapses.event_driven is not None or equations.diff_eq_names:
        raise refusal(
            synapses,
            "its variables change by differential equations; move them into the "
            "target's equations, where synapses of one time constant add up.",
        )
    if len(synapses._pathways) != 1 or synapses._pathways[0].prepost != "pre":
        names = ", ".join(p.objname for p in synapses._pathways) or "none"
        raise refusal(
            synapses,
            f"its pathways are {names}, and it must have one 'on_pre' alone; make "
            "Synapses for each further one, and leave out 'on_post' (plasticity).",
        )
    if not len(synapses):
        raise refusal(synapses, "it joins no neurons; call connect(), or leave it out.")
