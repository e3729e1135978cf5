"""The settings of a training run, and the reference settings of each data set."""

import dataclasses
import math
import numbers
import types
import typing
from dataclasses import dataclass

import numpy as np
import torch
from brian2.units import ms

from bsnn.datasets import is_name
from bsnn.encoding import encode_ttfs
from bsnn.equations import time_rules
from bsnn.model import Model, per_layer
from bsnn.presets import ALTERNATIVES, preset_values
from bsnn.simulator import DEVICES

from .losses import SpikeCountLoss
from .spiking_network import SpikingNetwork, mean_weights, relative_slopes


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that determines a run; saved with its results.

    Times carry their unit in the name, because people type and read them here. Of
    `initial_mean` and `initial_drive`, and of `slope_min` and `relative_slope_min`,
    there is one each: in Hz, or relative to the model.
    """

    dataset: str
    preset: str
    layers: tuple[int, ...]
    v_threshold: tuple[float, ...]
    batch_size: int
    learning_rate: float
    dt_ms: float = 1.0
    rule: str = "grid"
    detect: str = "end"
    max_spikes: tuple[int, ...] | None = None
    seed: int = 0
    epochs: int = 10
    learning_rate_factor: float = 1.0
    learning_rate_epochs: int = 10
    learning_rate_floor: float = 0.0
    true: float = 15.0
    false: float = 3.0
    spike_penalty: float = 0.0
    initial_mean: tuple[float, ...] | None = None
    initial_drive: float | None = None
    slope_min: float | None = None
    relative_slope_min: float | None = None
    tau_mem_ms: float = 260.0
    tau_syn_ms: float = 130.0
    duration_ms: float = 200.0
    t_max_ms: float = 100.0
    n_train: int | None = None
    n_test: int | None = None
    precision: str = "single"
    projection: str = "dense"
    device: str = "cpp"
    cuda_arch: float | None = None
    replicas: int | None = None
    workers: int | None = None

    def __post_init__(self):
        for name, kind in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not _is_a(value, kind):
                kind = kind.__name__ if isinstance(kind, type) else kind
                raise ValueError(f"'{name}' must be {kind}, {self._came(name)}.")
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if not is_name(self.dataset):
            raise ValueError(
                "'dataset' must be a name of letters, digits and any of _.+- inside, "
                f"{self._came('dataset')}."
            )
        for name in ("epochs", "batch_size", "learning_rate_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"'{name}' must be 1 or more, {self._came(name)}.")
        if self.seed < 0:
            raise ValueError(f"'seed' must not be negative, {self._came('seed')}.")
        preset_values(self.preset, self.dataset)  # raises unless there is one
        for in_hz, relative in ALTERNATIVES:
            if (getattr(self, in_hz) is None) == (getattr(self, relative) is None):
                raise ValueError(
                    f"one of '{in_hz}' and '{relative}' must be given, {in_hz}="
                    f"{getattr(self, in_hz)!r} and {relative}="
                    f"{getattr(self, relative)!r} were; set the other to None."
                )
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"'{name}' must be positive and finite, {self._came(name)}."
                )
        if not self.learning_rate_factor <= 1:
            raise ValueError(
                "'learning_rate_factor' must not exceed 1, "
                f"{self._came('learning_rate_factor')}."
            )
        if not 0 <= self.learning_rate_floor <= self.learning_rate:
            raise ValueError(
                "'learning_rate_floor' must lie in 0..learning_rate, "
                f"{self._came('learning_rate_floor')} and {self.learning_rate!r}; "
                "change one of them."
            )
        for name in ("initial_mean", "initial_drive"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value).all():
                raise ValueError(f"'{name}' must be finite, {self._came(name)}.")
        if self.initial_mean is not None:
            per_layer(self.initial_mean, len(self.layers) - 1, "initial_mean")
        if self.t_max_ms > self.duration_ms:
            raise ValueError(
                f"'t_max_ms' must not exceed 'duration_ms', {self._came('t_max_ms')} "
                f"and {self.duration_ms!r}; change one of them."
            )
        if self.device not in DEVICES:
            raise ValueError(
                f"'device' must be one of {', '.join(DEVICES)}, {self._came('device')}."
            )

    def _came(self, name):
        return f"got {getattr(self, name)!r}"

    @classmethod
    def reference(cls, dataset, **changes):
        """Return the reference settings of a data set with some changes.

        The networks and rates of MNIST, EMNIST and Fashion-MNIST are of Bacho & Chu
        2023, doi:10.1162/neco_a_01609; ``preset="published"`` is all as they, and the
        study of the time step built on it, had it.

        Raises
        ------
        ValueError
            If there is no such data set or preset, or a value is not possible.
        """
        if dataset not in _REFERENCE:
            raise ValueError(
                f"'dataset' must be one of {', '.join(_REFERENCE)}, got {dataset!r}."
            )
        given = {k: v for k, v in changes.items() if v is not None}
        if given.get("dt_ms") == 0:
            given.setdefault("rule", "continuous")
        preset = given.setdefault("preset", "default")
        usual = {**_REFERENCE[dataset], **preset_values(preset, dataset, given)}
        return cls(**{"dataset": dataset, **usual, **given})

    @classmethod
    def from_dict(cls, values):
        """Return settings from `to_dict`; an unknown name is an error."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown setting {', '.join(map(repr, unknown))}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"a setting is missing ({error}).") from error

    def to_dict(self):
        return dataclasses.asdict(self)

    def model(self):
        """Return the model these settings describe."""
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

    def encode(self, images, model):
        """Return the input `Spikes` of images."""
        return encode_ttfs(images, model, t_max=self.t_max_ms * ms)

    def initial_means(self, model):
        """Return the mean of each layer's initial weights, in Hz."""
        if self.initial_mean is None:
            return mean_weights(model, self.initial_drive)
        return per_layer(self.initial_mean, model.n_layers, "initial_mean")

    def slopes_min(self, model):
        """Return the least slope of each layer in the gradient, in Hz."""
        if self.slope_min is None:
            return relative_slopes(model, self.relative_slope_min)
        return per_layer(self.slope_min, model.n_layers, "slope_min")

    def config(self):
        """Return what a run folder's config.json holds: settings and their model."""
        return {**self.to_dict(), "model": self.model().to_dict()}

    @classmethod
    def from_config(cls, config, **changes):
        """Return the settings in what `config` returned, with some changes."""
        values = {name: value for name, value in config.items() if name != "model"}
        return cls.from_dict(values | changes)

    def loss(self):
        """Return the loss these settings describe."""
        return SpikeCountLoss(
            true=self.true, false=self.false, spike_penalty=self.spike_penalty
        )

    def check_dataset(self, dataset):
        """Raise ValueError unless the layers fit the data set."""
        inputs, *_, outputs = self.layers
        if dataset.n_inputs != inputs or dataset.n_classes > outputs:
            raise ValueError(
                f"'layers' must begin with the {dataset.n_inputs} inputs of "
                f"{dataset.title} and end with its {dataset.n_classes} classes, "
                f"{self._came('layers')}."
            )

    def learning_rate_at(self, epoch):
        """Return the learning rate of an epoch, counted from 1."""
        drops = (epoch - 1) // self.learning_rate_epochs
        rate = self.learning_rate * self.learning_rate_factor**drops
        return max(rate, self.learning_rate_floor)


def make_network(settings, model):
    """Return the untrained network that `settings` describe."""
    options = {"workers": settings.workers, "device": settings.device}
    means = settings.initial_means(model)
    options |= {"low": [m - 1 for m in means], "high": [m + 1 for m in means]}
    if model.rule == time_rules.GRID:
        options["projection"] = settings.projection
    if settings.device == "cuda":
        options |= {"arch": settings.cuda_arch, "replicas": settings.replicas}
        if torch.cuda.is_available():
            options["gradient"] = "cuda"
    return SpikingNetwork(
        model,
        seed=settings.seed,
        precision=settings.precision,
        slope_min=settings.slopes_min(model),
        **options,
    )


def _is_a(value, kind):
    """Return whether a value, also one read from JSON, is of an annotation's kind."""
    if isinstance(kind, types.UnionType):
        return any(_is_a(value, member) for member in kind.__args__)
    if typing.get_origin(kind) is tuple:
        of = kind.__args__[0]
        return isinstance(value, (tuple, list)) and all(_is_a(v, of) for v in value)
    if kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        plain = isinstance(value, number) and not isinstance(value, bool)
        return plain and (isinstance(value, float) or abs(value) < 2**63)
    return isinstance(value, kind)


_POSITIVE = (
    "learning_rate",
    "learning_rate_factor",
    "slope_min",
    "relative_slope_min",
    "tau_mem_ms",
    "tau_syn_ms",
    "duration_ms",
    "t_max_ms",
)
_REFERENCE = {
    "mnist": {
        "layers": (784, 800, 10),
        "v_threshold": (0.2, 1.3),
        "batch_size": 50,
        "learning_rate": 0.003,
    },
    "emnist": {
        "layers": (784, 800, 47),
        "v_threshold": (0.2, 1.3),
        "batch_size": 50,
        "learning_rate": 0.003,
        "learning_rate_factor": 0.5,
        "learning_rate_floor": 1e-4,
    },
    "fashion-mnist": {
        "layers": (784, 400, 400, 10),
        "v_threshold": (0.13, 0.45, 0.7),
        "batch_size": 5,
        "learning_rate": 0.0005,
        "learning_rate_factor": 0.5,
    },
    "digits": {
        "layers": (64, 128, 10),
        "v_threshold": (0.1, 0.2),
        "batch_size": 20,
        "learning_rate": 0.01,
    },
    "yin-yang": {
        "layers": (4, 120, 3),
        "v_threshold": (0.05, 0.3),
        "batch_size": 50,
        "learning_rate": 0.003,
    },
}
# Genuine EMNIST images and classes, another selection: the same settings.
_REFERENCE["emnist-47class-subset"] = _REFERENCE["emnist"]
