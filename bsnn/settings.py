"""The settings of a training run, each declared once.

What the command line takes, the names of runs and series, and the commands and labels
of a report follow from the fields of `Settings`. The command line reads this file
before Brian2 is imported: what needs it is imported where it is used.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .fields import field, fields_of
from .machine import DEVICES
from .presets import ALTERNATIVES, PRESETS, preset_values, reference_values
from .run_settings import (
    ESTIMATORS,
    FIRST_SPIKE,
    OF_ESTIMATORS,
    STRAIGHT_THROUGH,
    RunSettings,
)


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """Everything that determines a training of a CUBA LIF chain.

    There is one of `initial_mean` and `initial_drive`, and one of `slope_min` and
    `relative_slope_min`: in Hz, or relative to the model.
    """

    rule: str = field(
        "what a spike inside a time step becomes; continuous at 0",
        "grid",
        choices=("grid", "quantised-event", "continuous"),
    )
    preset: str = field(
        "weights before training and gradient: default, the best known, or published, "
        "as in the studies by Bacho & Chu (2023) and of the time step (default: "
        "default)",
        choices=tuple(PRESETS),
    )
    layers: tuple[int, ...] = field("inputs, then neurons of each layer")
    v_threshold: tuple[float, ...] = field("threshold of each layer")
    detect: str = field(
        "under the rule grid, whether a neuron fires that is above threshold at the "
        "end of a step, or also one that crossed it inside",
        "end",
        choices=("end", "crossing"),
    )
    max_spikes: tuple[int, ...] | None = field(
        "most spikes of a neuron in each layer, under the event rules (default: any "
        "number)",
        None,
    )
    initial_mean: tuple[float, ...] | None = field(
        "mean of each layer's initial weights, in place of --initial-drive",
        None,
        unit="Hz",
        tag="mean",
    )
    initial_drive: float | None = field(
        "to how many thresholds one spike of each neuron below lifts an output before "
        "training, in the mean",
        None,
        tag="drive",
    )
    slope_min: float | None = field(
        "least slope in the gradient, in place of --relative-slope-min",
        None,
        unit="Hz",
        tag="slope",
        positive=True,
    )
    relative_slope_min: float | None = field(
        "least slope in the gradient, relative to each layer",
        None,
        unit="v_threshold/tau_mem",
        tag="relative-slope",
        positive=True,
    )
    tau_mem_ms: float = field("membrane time constant", 260.0, unit="ms", positive=True)
    tau_syn_ms: float = field("synaptic time constant", 130.0, unit="ms", positive=True)
    duration_ms: float = field("length of a sample", 200.0, unit="ms", positive=True)
    estimator: str = field(
        "what stands for the derivative of a spike: that of its time, straight-through "
        "with the crossing exact, linear in its step or at its end; or a surrogate, "
        "under the rule grid",
        "straight-through",
        choices=ESTIMATORS,
        tag="estimator",
    )
    projection: str = field(
        "spikes go through a dense matrix or through Brian2's Synapses",
        "dense",
        choices=("dense", "synapses"),
    )
    device: str = field("cuda needs a GPU", "cpp", choices=DEVICES)
    cuda_arch: float | None = field("compute capability (default: the GPU's)", None)
    replicas: int | None = field("samples at a time on a GPU (default: by it)", None)

    def __post_init__(self):
        super().__post_init__()
        from bsnn.equations.units import per_layer

        for in_hz, relative in ALTERNATIVES:
            if (getattr(self, in_hz) is None) == (getattr(self, relative) is None):
                raise ValueError(
                    f"one of '{in_hz}' and '{relative}' must be given, {in_hz}="
                    f"{getattr(self, in_hz)!r} and {relative}="
                    f"{getattr(self, relative)!r} were; set the other to None."
                )
        self._check_estimator()
        if self.initial_mean is not None:
            per_layer(self.initial_mean, len(self.layers) - 1, "initial_mean")
        if self.code in (None, FIRST_SPIKE) and self.t_max_ms > self.duration_ms:
            raise ValueError(
                f"'t_max_ms' must not exceed 'duration_ms', {self._came('t_max_ms')} "
                f"and {self.duration_ms!r}; change one of them."
            )

    def _check_estimator(self):
        if self.estimator == STRAIGHT_THROUGH:
            return
        if self.rule != "grid":
            raise ValueError(
                f"'estimator' must be {STRAIGHT_THROUGH!r} under the rule "
                f"{self.rule!r}, {self._came('estimator')}: it finds each crossing "
                "exactly, and has no steps in which a silent neuron could be asked; "
                "take the rule 'grid'."
            )
        if self.make_estimator().by_times:
            return
        for name, usual in (("detect", "end"), ("device", "cpp")):
            if getattr(self, name) != usual:
                raise ValueError(
                    f"'{name}' must be {usual!r} with a surrogate 'estimator', "
                    f"{self._came(name)}."
                )
        if self.slope_min is not None:
            raise ValueError(
                "'slope_min' must be left out with a surrogate 'estimator', "
                f"{self._came('slope_min')}: no crossing has a slope there."
            )

    @classmethod
    def reference(cls, dataset: str, **changes) -> "Settings":
        """Return the reference settings of a data set with some changes.

        A change to None is none.

        Raises
        ------
        ValueError
            If there is no such preset, there are no settings for the data set and
            `changes` leave one out that has no default, or a value is not possible.
        """
        return cls(**reference_values(dataset, changes))

    def model(self):
        """Return the model these settings describe."""
        from brian2.units import ms

        from .model import Model

        return Model.dense(
            self.layers,
            v_threshold=self.v_threshold,
            tau_syn=self.tau_syn_ms * ms,
            tau_mem=self.tau_mem_ms * ms,
            dt=self.dt_ms * ms,
            duration=self.duration_ms * ms,
            rule=self.rule,
            detect=self.detect,
            max_spikes=self.max_spikes,
        )

    @property
    def series(self) -> str:
        """What stands for the network in the names of run folders."""
        return self.rule if self.detect == "end" else f"{self.rule}-{self.detect}"

    def readout(self, _):
        """Return how the label is read out: of a chain, the output that fires most."""
        from .readout import Readout

        return Readout()

    def at(self, dt_ms, rule):
        """Return these settings at another time step and rule, "continuous" at 0.

        `detect` and `max_spikes` stay where they belong to the rule.
        """
        from bsnn.equations import time_rules

        if dt_ms == 0:
            rule = time_rules.at(0).name
        options = time_rules.named(rule).own(vars(self))
        return dataclasses.replace(self, dt_ms=dt_ms, rule=rule, **options)

    def simulated(self) -> "Settings":
        """Return these settings without what only a backward pass asks for."""
        options = dict.fromkeys(OF_ESTIMATORS)
        return dataclasses.replace(self, estimator=STRAIGHT_THROUGH, **options)

    def config(self) -> dict:
        """Return what a run folder's config.json holds: settings and their model."""
        return {**self.to_dict(), "model": self.model().to_dict()}

    @classmethod
    def from_config(cls, config: Mapping, **changes) -> "Settings":
        """Return the settings in what `config` returned, with some changes."""
        values = {name: value for name, value in config.items() if name != "model"}
        return cls.from_dict(values | changes)

    def check_dataset(self, dataset):
        """Raise ValueError unless the layers fit the data set."""
        super().check_dataset(dataset)
        inputs, *_, outputs = self.layers
        self._check_inputs(dataset, inputs, self.duration_ms, "'layers'")
        if dataset.n_classes > outputs:
            raise ValueError(
                f"'layers' must end with the {dataset.n_classes} classes of "
                f"{dataset.title}, {self._came('layers')}."
            )


SETTINGS = fields_of(Settings)
# The names of those that share a tag.
TAGS = {
    tag: [name for name, setting in SETTINGS.items() if setting.tag == tag]
    for tag in dict.fromkeys(setting.tag for setting in SETTINGS.values())
    if tag
}


def departures(config: Mapping) -> dict[str, list]:
    """Return the settings, by tag, in which a run departs from what is usual.

    Parameters
    ----------
    config : mapping
        As in config.json; where it says nothing, the run is as usual.
    """
    usual = {name: setting.default for name, setting in SETTINGS.items()}
    usual |= preset_values(config["preset"], config["dataset"])
    there = usual | {name: v for name, v in config.items() if v is not None}
    found = {}
    for tag, names in TAGS.items():
        given, expected = (
            [value for name in names for value in _each(values[name])]
            for values in (there, usual)
        )
        if given != expected:
            found[tag] = given
    return found


def _each(value):
    return value if isinstance(value, (list, tuple)) else [value]
