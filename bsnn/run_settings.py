"""The settings that every training has, whatever the network.

The command line reads this file before Brian2 is imported: what needs it is imported
where it is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

from .fields import field, fields_of
from .inputs.codes import NAMES

FIRST_SPIKE = "first-spike"
# That of currents has to be told what they drive, by a file's own `encode`.
# Those of `bsnn.equations.estimators`, which imports Brian2, with their options.
STRAIGHT_THROUGH = "straight-through"
ESTIMATORS = (
    STRAIGHT_THROUGH,
    "straight-through-linear",
    "straight-through-end",
    "fast-sigmoid",
    "arctan",
    "triangle",
    "gaussian",
)
OF_ESTIMATORS = ("slope_cap", "surrogate_width", "surrogate_height")
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
        "four files called as those of MNIST, events in the layout of SHD, or sound "
        "as train/<label>/*.wav and test/<label>/*.wav"
    )
    dt_ms: float = field("time step; 0 = continuous", 1.0, unit="ms")
    seed: int = field("of weights and data order", 0, least=0)
    epochs: int = field("passes over the training samples", 10, least=1)
    batch_size: int = field("samples an update", least=1)
    learning_rate: float = field("learning rate of Adam", positive=True)
    estimator: str | None = field(
        "what stands for the derivative of a spike (default: as the file says)",
        None,
        choices=ESTIMATORS,
    )
    slope_cap: float | None = field(
        "straight-through, slopes count as at most so many times the least (default: "
        "no bound)",
        None,
        tag="cap",
    )
    surrogate_width: float | None = field(
        "of a surrogate, relative to the depth of rest below threshold (default: 0.2)",
        None,
        tag="width",
        positive=True,
    )
    surrogate_height: float | None = field(
        "of a surrogate at threshold (default: 1)", None, tag="height", positive=True
    )
    true: float = field("target spikes of the label", 15.0, tag="targets")
    false: float = field("target spikes of the others", 3.0, tag="targets")
    spike_penalty: float = field("price of a hidden spike", 0.0, tag="penalty")
    latency_weight: float = field(
        "weight of a loss that rewards early output spikes of the label",
        0.0,
        tag="latency",
    )
    latency_tau_ms: float = field(
        "by how much later an output spike counts 1/e there",
        30.0,
        unit="ms",
        tag="latency-tau",
        positive=True,
    )
    learning_rate_factor: float = field(
        "factor by which the learning rate falls", 1.0, positive=True
    )
    learning_rate_epochs: int = field(
        "epochs between two falls of the learning rate", 10, least=1
    )
    learning_rate_floor: float = field(
        "below which the learning rate does not fall", 0.0
    )
    learning_rate_patience: int | None = field(
        "epochs without a better validation after which the learning rate falls, in "
        "place of --learning-rate-epochs (default: as those say)",
        None,
        least=1,
    )
    validation: float = field(
        "share of the training samples, the last of each class, that chooses the "
        "epoch whose weights are tested, once; where a data set has samples of its own "
        "for that, they do; 0: no choice, a test after each epoch",
        0.1,
        tag="validation",
    )
    validation_seed: int | None = field(
        "draw the validation samples with this seed (default: the last)", None, least=0
    )
    patience: int | None = field(
        "epochs without a better validation after which training stops (default: none)",
        None,
        least=1,
    )
    code: str | None = field(
        "how the data become input spikes (default: as the data set says)",
        None,
        choices=CODES,
    )
    t_max_ms: float = field(
        "latest input spike, with the code first-spike", 100.0, unit="ms", positive=True
    )
    max_shift: int = field(
        "pixels by which each training image is moved at most, up or down and to a "
        "side, drawn anew each epoch",
        0,
        tag="shift",
        least=0,
    )
    n_train: int | None = field("use the first N training samples (default: all)", None)
    n_test: int | None = field("use the first N test samples (default: all)", None)
    precision: str = field("of the simulation", "single", choices=("single", "double"))
    workers: int | None = field("processes (default: one a core)", None)

    callbacks = ()  # what a training calls after each epoch

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

        self.make_estimator()
        if self.latency_weight < 0:
            raise ValueError(
                "'latency_weight' must not be negative, "
                f"{self._came('latency_weight')}."
            )
        if not 0 <= self.validation < 1:
            raise ValueError(
                "'validation' must lie in 0..1 and leave samples to train on, "
                f"{self._came('validation')}."
            )
        if not self.validation:
            for name in ("validation_seed", "patience", "learning_rate_patience"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"'{name}' must be left out without a part of the samples for "
                        f"'validation', {self._came(name)}; give a share, as 0.1."
                    )

    def _came(self, name):
        return f"got {getattr(self, name)!r}"

    def make_estimator(self):
        """Return the estimator that is chosen, None where none is.

        Raises
        ------
        ValueError
            If an option is not one of this estimator's, or its value is not possible.
        """
        from bsnn.equations import estimators

        options = {name: getattr(self, name) for name in OF_ESTIMATORS}
        if self.estimator is None and not any(options.values()):
            return None
        return estimators.named(self.estimator or STRAIGHT_THROUGH, **options)

    def simulated(self) -> Self:
        """Return these settings without what only a backward pass asks for."""
        return self

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

    def check_dataset(self, dataset):
        """Raise ValueError unless the samples are as the settings ask."""
        from bsnn.inputs.shifted import check_shift

        check_shift(self.max_shift, dataset)

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

    def learning_rate_at(self, epoch: int, validations: Sequence = ()) -> float:
        """Return the learning rate of an epoch, counted from 1.

        Parameters
        ----------
        epoch : int
        validations : sequence
            What the epochs before reached on the validation samples, the better the
            higher.
        """
        if self.learning_rate_patience is None:
            drops = (epoch - 1) // self.learning_rate_epochs
        else:
            drops = _n_waits(validations, self.learning_rate_patience)
        rate = self.learning_rate * self.learning_rate_factor**drops
        return max(rate, self.learning_rate_floor)

    def is_over(self, validations: Sequence) -> bool:
        """Return whether training stops early after these validations."""
        return self.patience is not None and _n_waits(validations, self.patience) > 0


def _n_waits(values, patience):
    """Return how often `patience` values in a row were no better than all before.

    Each wait begins after the one before, or after a better value.
    """
    best, n_waits = None, 0
    for value in values:
        if best is None or value > best:
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            n_waits, waited = n_waits + 1, 0
    return n_waits
