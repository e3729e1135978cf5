"""The settings of a training run, and the reference settings of each data set."""

import dataclasses
import types
import typing
from dataclasses import dataclass

from brian2.units import ms

from bsnn.equations import time_rules
from bsnn.equations.units import as_int, as_list, as_number, one_of, per_layer
from bsnn.inputs.datasets import is_name
from bsnn.inputs.encoding import encode_ttfs
from bsnn.machine import DEVICES
from bsnn.model import Model
from bsnn.presets import ALTERNATIVES, preset_values


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
            try:
                value = _converted(getattr(self, name), kind, name)
            except TypeError as error:
                kind = kind.__name__ if isinstance(kind, type) else kind
                raise ValueError(
                    f"'{name}' must be {kind}, {self._came(name)}."
                ) from error
            object.__setattr__(self, name, value)
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
            if value is not None and value <= 0:
                raise ValueError(f"'{name}' must be positive, {self._came(name)}.")
        if self.learning_rate_factor > 1:
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
        if self.initial_mean is not None:
            per_layer(self.initial_mean, len(self.layers) - 1, "initial_mean")
        if self.t_max_ms > self.duration_ms:
            raise ValueError(
                f"'t_max_ms' must not exceed 'duration_ms', {self._came('t_max_ms')} "
                f"and {self.duration_ms!r}; change one of them."
            )
        one_of(self.device, "device", DEVICES)

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
            If there is no such preset, there are no settings for the data set and
            `changes` leave one out that has no default, or a value is not possible.
        """
        reference = _REFERENCE.get(dataset, {}) if is_name(dataset) else {}
        given = {k: v for k, v in changes.items() if v is not None}
        if given.get("dt_ms") == 0:
            given.setdefault("rule", "continuous")
        missing = [n for n in _REFERENCE["mnist"] if n not in {**reference, **given}]
        if missing:
            raise ValueError(
                f"'dataset' must be one of {', '.join(_REFERENCE)}, got {dataset!r}; "
                f"for a data set of your own give {', '.join(missing)}, too."
            )
        preset = given.setdefault("preset", "default")
        usual = {**reference, **preset_values(preset, dataset, given)}
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

    def at(self, dt_ms, rule):
        """Return these settings at another time step and rule, "continuous" at 0.

        `detect` and `max_spikes` stay where they belong to the rule.
        """
        if dt_ms == 0:
            rule = time_rules.CONTINUOUS
        other = {"max_spikes": None} if rule == time_rules.GRID else {"detect": "end"}
        return dataclasses.replace(self, dt_ms=dt_ms, rule=rule, **other)

    def encode(self, images, model):
        """Return the input `Spikes` of images."""
        return encode_ttfs(images, model, t_max=self.t_max_ms * ms)

    def config(self):
        """Return what a run folder's config.json holds: settings and their model."""
        return {**self.to_dict(), "model": self.model().to_dict()}

    @classmethod
    def from_config(cls, config, **changes):
        """Return the settings in what `config` returned, with some changes."""
        values = {name: value for name, value in config.items() if name != "model"}
        return cls.from_dict(values | changes)

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


def _converted(value, kind, name):
    """Return a value as what its annotation says, in what JSON can hold."""
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        (kind,) = (member for member in kind.__args__ if member is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        of = kind.__args__[0]
        return tuple(_converted(item, of, name) for item in as_list(value, name))
    if kind is int:
        return as_int(value, name)
    if kind is float:
        return as_number(value, name)
    if not isinstance(value, kind):
        raise TypeError(f"'{name}' must be {kind.__name__}, got {value!r}.")
    return value


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
