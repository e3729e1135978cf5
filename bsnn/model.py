"""What is simulated: layers of neurons, the time step and the time rule."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from brian2.units import Quantity, second

from bsnn.equations import CubaLIF, time_rules
from bsnn.equations.models.cuba_lif import check_neuron
from bsnn.equations.units import (
    as_int,
    as_list,
    as_number,
    in_seconds,
    one_of,
    per_layer,
    positive_seconds,
)

# In time constants: Brian2's exact update evaluates exp(dt/tau), in single precision.
LONGEST_DT = 80


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A feed-forward network of fully connected layers.

    Parameters
    ----------
    n_inputs : int
        Number of input spike trains.
    layer_sizes : tuple of int
        Neurons of each layer after the input.
    neurons : tuple of CubaLIF
        Parameters of each of those layers.
    dt : Quantity
        Time step; ``0*ms`` for continuous time.
    duration : Quantity
        Length of one sample.
    rule : {"grid", "quantised-event", "continuous"}, optional
        What a spike inside a bin becomes, see `bsnn.equations.time_rules`. Unless
        given, "grid" for dt > 0 and "continuous" for dt = 0.
    detect : {"end", "crossing"}
        Under "grid", whether a neuron also fires that crossed threshold inside the bin
        and fell back before its end.
    max_spikes : int or tuple of int, optional
        Under the event rules, the most spikes a neuron may fire, of all layers or of
        each.

    Raises
    ------
    TypeError
        If `dt` or `duration` is a bare number, or a size or neuron is none.
    ValueError
        If a size, time or rule is not possible, or a neuron has other equations than
        those of `CubaLIF`.
    """

    n_inputs: int
    layer_sizes: tuple[int, ...]
    neurons: tuple[CubaLIF, ...]
    dt: Quantity
    duration: Quantity
    rule: str | None = None
    detect: str = "end"
    max_spikes: tuple[int, ...] | None = None

    def __post_init__(self):
        sizes = as_list(self.layer_sizes, "layer_sizes")
        dt, duration = (
            in_seconds(self.dt, "dt"),
            positive_seconds(self.duration, "duration"),
        )
        for name, value in (
            ("n_inputs", as_int(self.n_inputs, "n_inputs", least=1)),
            ("layer_sizes", tuple(as_int(n, "layer_sizes", least=1) for n in sizes)),
            ("neurons", tuple(as_list(self.neurons, "neurons"))),
            # As rounded, for Brian2, too.
            ("dt", dt * second),
            ("duration", duration * second),
        ):
            object.__setattr__(self, name, value)
        if dt < 0:
            raise ValueError(f"'dt' must not be negative, got {self.dt!s}.")
        if dt > duration:
            raise ValueError(
                f"'dt' must not be longer than 'duration', got {dt} s and "
                f"{duration} s; choose a smaller time step."
            )
        if not self.layer_sizes or len(self.layer_sizes) != len(self.neurons):
            raise ValueError(
                "'neurons' must have one entry for each of the "
                f"{len(self.layer_sizes)} layers after the input, "
                f"got {len(self.neurons)}."
            )
        for layer, neuron in enumerate(self.neurons, start=1):
            check_neuron(neuron, f"'neurons' of layer {layer}")
            shortest = min(neuron.modes.tau)
            if dt > LONGEST_DT * shortest:
                raise ValueError(
                    f"'dt' must not exceed {LONGEST_DT} time constants, got "
                    f"{self.dt!s}, {shortest} s in layer {layer}; choose a smaller one."
                )
        self._check_rule(dt)

    def _check_rule(self, dt):
        if self.rule is None:
            object.__setattr__(self, "rule", time_rules.at(dt).name)
        self.time_rule.check_dt(dt)
        one_of(self.detect, "detect", time_rules.DETECT)
        self.time_rule.check_options(vars(self))
        if self.max_spikes is not None:
            positive_int = functools.partial(as_int, least=1)
            limits = per_layer(
                self.max_spikes, self.n_layers, "max_spikes", positive_int
            )
            object.__setattr__(self, "max_spikes", tuple(limits))

    @classmethod
    def dense(
        cls,
        sizes: Sequence[int],
        *,
        v_threshold: float | Sequence[float],
        tau_syn: Quantity,
        tau_mem: Quantity,
        dt: Quantity,
        duration: Quantity,
        delta_v: float | Sequence[float] | None = None,
        rule: str | None = None,
        detect: str = "end",
        max_spikes: int | Sequence[int] | None = None,
    ) -> Model:
        """Return a model of fully connected CUBA LIF layers.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, then the neurons of each layer.
        v_threshold : float or sequence of float
            Threshold of all layers, or of each.
        tau_syn, tau_mem, dt, duration : Quantity
        delta_v : float or sequence of float, optional
            What a spike subtracts; the threshold unless given.
        rule, detect, max_spikes
            As for `Model`.
        """
        sizes = [as_int(size, "sizes", least=1) for size in as_list(sizes, "sizes")]
        if len(sizes) < 2:
            raise ValueError(
                f"'sizes' must name the inputs and at least one layer, got {sizes}."
            )
        n_inputs, *layer_sizes = sizes
        thresholds = per_layer(v_threshold, len(layer_sizes), "v_threshold")
        deltas = thresholds
        if delta_v is not None:
            deltas = per_layer(delta_v, len(layer_sizes), "delta_v")
        neurons = tuple(
            CubaLIF(tau_mem=tau_mem, tau_syn=tau_syn, v_threshold=v, delta_v=d)
            for v, d in zip(thresholds, deltas, strict=True)
        )
        return cls(
            n_inputs=n_inputs,
            layer_sizes=tuple(layer_sizes),
            neurons=neurons,
            dt=dt,
            duration=duration,
            rule=rule,
            detect=detect,
            max_spikes=max_spikes,
        )

    def with_dt(self, dt: Quantity, rule: str | None = None) -> Model:
        """Return the same model at another time step.

        Parameters
        ----------
        dt : Quantity
        rule : str, optional
            That of the model unless given; at ``0*ms`` "continuous", and from there
            "grid". `detect` stays where it belongs to the rule.
        """
        if rule is None:
            rule = time_rules.at(in_seconds(dt, "dt"), self.time_rule).name
        detect = time_rules.named(rule).own(vars(self))["detect"]
        return replace(self, dt=dt, rule=rule, detect=detect)

    @property
    def time_rule(self) -> time_rules.TimeRule:
        """The `TimeRule` that `rule` names."""
        return time_rules.named(self.rule)

    @functools.cached_property
    def dt_seconds(self) -> float:
        return in_seconds(self.dt, "dt")

    @functools.cached_property
    def duration_seconds(self) -> float:
        return in_seconds(self.duration, "duration")

    @property
    def n_layers(self) -> int:
        return len(self.layer_sizes)

    @functools.cached_property
    def n_steps(self) -> int:
        """Whole bins in a sample; 0 where time is continuous."""
        return self.time_rule.n_steps(self.duration_seconds, self.dt_seconds)

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_pre, n_post) of each layer's weights."""
        return tuple(
            zip((self.n_inputs, *self.layer_sizes), self.layer_sizes, strict=False)
        )

    def in_short(self) -> str:
        """Return sizes, neuron, times and rule in a line."""
        sizes = "-".join(map(str, (self.n_inputs, *self.layer_sizes)))
        kinds = dict.fromkeys(type(neuron).__name__ for neuron in self.neurons)
        dt, duration = 1e3 * self.dt_seconds, 1e3 * self.duration_seconds
        return (
            f"{sizes} {'/'.join(kinds)}, dt={dt:g} ms, duration={duration:g} ms, "
            f"rule={self.rule!r}"
        )

    def to_dict(self) -> dict:
        """Return what `from_dict` needs, in plain SI numbers, ready for JSON."""
        return {
            "n_inputs": self.n_inputs,
            "layer_sizes": list(self.layer_sizes),
            "neurons": [neuron.parameters for neuron in self.neurons],
            "dt": self.dt_seconds,
            "duration": self.duration_seconds,
            "rule": self.rule,
            "detect": self.detect,
            "max_spikes": None if self.max_spikes is None else list(self.max_spikes),
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> Model:
        """Return the model that `to_dict` wrote.

        Raises
        ------
        ValueError
            If `values` are not those of a model.
        """
        try:
            neurons = tuple(
                CubaLIF(**{**p, **_times(p, "tau_mem", "tau_syn")})
                for p in values["neurons"]
            )
            times = _times(values, "dt", "duration")
            return cls(**{**values, "neurons": neurons, **times})
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"'values' describe no model ({error!r}).") from error


def _times(values, *names):
    return {name: as_number(values[name], name) * second for name in names}
