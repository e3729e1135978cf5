"""The settings that every training has, whatever the network.

The command line reads this file before Brian2 is imported: what needs it is imported
where it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from .fields import field, fields_of
from .inputs.codes import NAMES

FIRST_SPIKE = "first-spike"
# That of currents has to be told what they drive, by a file's own `encode`.
CODES = tuple(name for name in NAMES if name != "currents")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What determines a training beside its network; saved with its results.

    The order is that of --help, of the tags in a name and of the options in a report.
    Times carry their unit in the name, because people type and read them here.
    """

    dataset: str = field(
        "mnist, emnist, fashion-mnist, digits, yin-yang, spoken-digits, randman, "
        "store-recall, sequence, evidence, or a folder of your own in --data-dir with "
        "four files called as those of MNIST, or events in the layout of SHD"
    )
    dt_ms: float = field("time step; 0 = continuous", 1.0, unit="ms")
    seed: int = field("of weights and data order", 0, least=0)
    epochs: int = field("passes over the training samples", 10, least=1)
    batch_size: int = field("samples an update", least=1)
    learning_rate: float = field("learning rate of Adam", positive=True)
    true: float = field("target spikes of the label", 15.0, tag="targets")
    false: float = field("target spikes of the others", 3.0, tag="targets")
    spike_penalty: float = field("price of a hidden spike", 0.0, tag="penalty")
    learning_rate_factor: float = field(
        "factor by which the learning rate falls", 1.0, positive=True
    )
    learning_rate_epochs: int = field(
        "epochs between two falls of the learning rate", 10, least=1
    )
    learning_rate_floor: float = field(
        "below which the learning rate does not fall", 0.0
    )
    code: str | None = field(
        "how the data become input spikes (default: as the data set says)",
        None,
        choices=CODES,
    )
    t_max_ms: float = field(
        "latest input spike, with the code first-spike", 100.0, unit="ms", positive=True
    )
    n_train: int | None = field("use the first N training samples (default: all)", None)
    n_test: int | None = field("use the first N test samples (default: all)", None)
    precision: str = field("of the simulation", "single", choices=("single", "double"))
    workers: int | None = field("processes (default: one a core)", None)

    def __post_init__(self):
        from bsnn.inputs.datasets import is_name

        for name, setting in fields_of(type(self)).items():
            object.__setattr__(self, name, setting.checked(getattr(self, name)))
        if not is_name(self.dataset):
            raise ValueError(
                "'dataset' must be a name of letters, digits and any of _.+- inside, "
                f"{self._came('dataset')}."
            )
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

    def _came(self, name):
        return f"got {getattr(self, name)!r}"

    @classmethod
    def from_dict(cls, values: Mapping) -> Self:
        """Return settings from `to_dict`; an unknown name is an error."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown setting {', '.join(map(repr, unknown))}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"a setting is missing ({error}).") from error

    def to_dict(self) -> dict:
        return {name: getattr(self, name) for name in fields_of(type(self))}

    def of(self, dataset) -> Self:
        """Return these settings with the code of a data set, unless one is chosen."""
        return replace(self, code=self.code or dataset.code, dataset=dataset.name)

    def encode(self, values, model):
        """Return the input `Spikes` of what a data set holds."""
        from brian2.units import ms

        from bsnn.inputs import codes

        code = self.code or FIRST_SPIKE
        options = {"t_max": self.t_max_ms * ms} if code == FIRST_SPIKE else {}
        return codes.named(code)(values, model, **options)

    def _check_inputs(self, dataset, n_inputs, duration_ms, what):
        """Raise ValueError unless samples, encoded, fit a network's inputs."""
        from bsnn.inputs import codes

        code = self.code or dataset.code
        needed = codes.n_inputs(code, dataset.n_inputs)
        if needed not in (None, n_inputs):
            raise ValueError(
                f"{what} must begin with the {needed} inputs of {dataset.title} in the "
                f"code {code}, got {n_inputs}."
            )
        if code == FIRST_SPIKE and self.t_max_ms > duration_ms:
            raise ValueError(
                f"'t_max_ms' must not exceed the length of a sample, "
                f"{self._came('t_max_ms')} and {duration_ms:g}; change one of them."
            )

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        drops = (epoch - 1) // self.learning_rate_epochs
        rate = self.learning_rate * self.learning_rate_factor**drops
        return max(rate, self.learning_rate_floor)
