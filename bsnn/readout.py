"""Readouts: how a label is read out of what the output population did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bsnn.equations.units import as_positive, one_of

BY_SPIKES, BY_TRACE = ("most-spikes", "first-spike"), ("max", "mean")


@dataclass(frozen=True)
class Readout:
    """How the label is read out, of one output neuron for each class.

    Parameters
    ----------
    kind : {"most-spikes", "first-spike", "max", "mean"}
        The label is the neuron that fires most, or first; or whose `variable` has the
        highest maximum, or mean, over the sample.
    population : str, optional
        The output; the last of the network unless given.
    variable : str, optional
        Under "max" and "mean", which of the output's recorded variables; the first of
        them unless given.
    scale : float
        What counts as one in the softmax of `variable`, in SI units.

    Raises
    ------
    ValueError
        If there is no such kind, or it has no use for `variable` or `scale`.
    """

    kind: str = "most-spikes"
    population: str | None = None
    variable: str | None = None
    scale: float = 1.0

    def __post_init__(self):
        one_of(self.kind, "kind", (*BY_SPIKES, *BY_TRACE))
        object.__setattr__(self, "scale", as_positive(self.scale, "scale"))
        if self.by_spikes and (self.variable is not None or self.scale != 1):
            raise ValueError(
                f"'variable' and 'scale' must be left out of the readout "
                f"{self.kind!r}, which counts spikes."
            )

    @property
    def by_spikes(self) -> bool:
        return self.kind in BY_SPIKES

    def of(self, network) -> Readout:
        """Return this readout with the population and variable of a `Network` named.

        Raises
        ------
        ValueError
            If the population is none of the network's, cannot fire under a readout of
            spikes, or does not record the variable.
        """
        names = [part.name for part in network.groups]
        name = names[-1] if self.population is None else self.population
        if name not in names:
            raise ValueError(
                f"'readout' names the population {name!r}; the network has "
                f"{', '.join(names)}."
            )
        part = network.named[name]
        if self.by_spikes:
            if part.neuron.threshold is None:
                raise ValueError(
                    f"'readout' is {self.kind!r}, but {name!r} has no threshold and "
                    "never fires; take Readout('max') or Readout('mean')."
                )
            return Readout(self.kind, name)
        variable = self.variable or next(iter(part.record), None)
        if variable not in part.record:
            raise ValueError(
                f"'readout' needs a recorded variable of {name!r}; write "
                f"Population({name!r}, ..., record=[{variable or 'v'!r}])."
            )
        return Readout(self.kind, name, variable, self.scale)

    def seen(self, layers: Sequence) -> list:
        """Return what is measured of `layers`, as `Spikes` and arrays.

        Parameters
        ----------
        layers : sequence of LayerSpikes
            The output last, with its trace under a readout of traces.

        Returns
        -------
        seen : list of Spikes
            The last is the trace, shape (n_samples, n_steps, n_neurons), where that is
            read out.
        """
        *hidden, output = layers
        seen = [layer.record for layer in hidden]
        if self.by_spikes:
            return [*seen, output.record]
        return [*seen, output.trace[self.variable].detach().numpy()]

    def to_dict(self) -> dict:
        return vars(self).copy()


def default_readout(network) -> Readout:
    """Return most spikes of the last population, or its maximum if it never fires."""
    fires = network.groups[-1].neuron.threshold is not None
    return Readout("most-spikes" if fires else "max").of(network)
