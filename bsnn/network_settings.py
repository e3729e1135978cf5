"""The settings of a training of a network of one's own."""

import dataclasses
from dataclasses import dataclass

from .fields import field, fields_of
from .model_file import ModelFile
from .presets import OWN_NETWORK
from .run_settings import RunSettings
from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(RunSettings):
    """Everything that determines a training of the network in a `ModelFile`.

    The network says for itself what the settings of a chain say: layers, neurons,
    thresholds, duration, initial weights.
    """

    batch_size: int = field("samples an update", OWN_NETWORK["batch_size"], least=1)
    learning_rate: float = field(
        "learning rate of Adam", OWN_NETWORK["learning_rate"], positive=True
    )
    model_file: ModelFile

    # What tables and folders of runs ask of any run.
    rule = "grid"
    detect = "end"
    max_spikes = None
    device = "cpp"
    projection = None

    def __post_init__(self):
        super().__post_init__()
        if self.dt_ms <= 0:
            raise ValueError(
                "'dt_ms' must be positive for a network of one's own, "
                f"{self._came('dt_ms')}; only a chain of CUBA LIF neurons is simulated "
                "in continuous time."
            )

    @property
    def preset(self) -> str:
        """The name of the model, which tells its runs from those of others."""
        return self.model_file.name

    series = preset

    def model(self):
        """Return the network these settings describe."""
        return self.model_file.network(self.dt_ms)

    def encode(self, values, model):
        """Return the inputs of what a data set holds, by the file's code if any."""
        network, own = self.model(), self.model_file.encode
        if own is None:
            return super().encode(values, network.entrance(network.inputs[0]))
        with self.model_file.told("encode(values, network) failed"):
            return own(values, network)

    def readout(self, network):
        """Return how the label is read out of a network."""
        return self.model_file.readout(network)

    @property
    def callbacks(self):
        """What the file wants to be called after each epoch, as a list."""
        own = self.model_file.after_epoch
        return [] if own is None else [own]

    def at(self, dt_ms, rule):
        """Return these settings at another time step.

        Raises
        ------
        ValueError
            If the rule is another one than "grid".
        """
        if rule != self.rule:
            raise ValueError(
                f"'rule' must be 'grid' for a network of one's own, got {rule!r}; the "
                "event rules are those of a chain of CUBA LIF neurons."
            )
        return dataclasses.replace(self, dt_ms=dt_ms)

    def config(self) -> dict:
        """Return what a run folder's config.json holds: settings, texts, network."""
        network = self.model()
        return {
            **self.to_dict(),
            "rule": self.rule,
            "detect": self.detect,
            "preset": self.preset,
            "model_file": {"name": self.model_file.name, "text": self.model_file.text},
            "readout": self.readout(network).to_dict(),
            "network": network.to_dict(),
        }

    @classmethod
    def from_config(cls, config, model_file, **changes):
        """Return the settings in what `config` returned, with some changes.

        Parameters
        ----------
        config : dict
        model_file : ModelFile
            That of the run: what the run folder keeps of it is not executed.

        Raises
        ------
        ValueError
            If it is another file than the run's, or a setting is missing.
        """
        kept = config["model_file"]
        if kept != {"name": model_file.name, "text": model_file.text}:
            raise ValueError(
                f"'model' must be the file that the run was trained with, of the name "
                f"{_name(config)}.py and the same text to the letter; its config.json "
                "holds it."
            )
        values = {n: config[n] for n in fields_of(cls) if n in config}
        return cls.from_dict(values | changes | {"model_file": model_file})

    def check_dataset(self, dataset):
        """Raise ValueError unless the network fits the data set."""
        super().check_dataset(dataset)
        network, file = self.model(), self.model_file
        output = network.named[self.readout(network).population]
        if dataset.n_classes > output.size:
            raise ValueError(
                f"the network of {file.filename} must have the {dataset.n_classes} "
                f"classes of {dataset.title} in {output.name!r}, got {output.size} "
                "neurons."
            )
        if file.encode is None:
            duration_ms = 1e3 * network.duration_seconds
            what = f"the network of {file.filename}"
            self._check_inputs(dataset, network.n_inputs, duration_ms, what)


def settings_of(config, model_file=None, **changes):
    """Return the settings in a run folder's config.json, with some changes.

    Parameters
    ----------
    config : dict
    model_file : ModelFile, optional
        Of a run whose network is one's own: it is needed, and the same.

    Returns
    -------
    settings : Settings or NetworkSettings

    Raises
    ------
    ValueError
        If `model_file` is missing, another one, or given for a chain, or a setting is
        not possible.
    """
    if "model_file" not in config:
        if model_file is not None:
            raise ValueError(
                "'model' must be left out: the run is one of a chain, without a file "
                "of its own."
            )
        return Settings.from_config(config, **changes)
    if model_file is None:
        raise ValueError(
            f"'model' must be given: the run's network is that of {_name(config)}.py, "
            "which is not executed from a run folder; pass --model with your own file."
        )
    return NetworkSettings.from_config(config, model_file, **changes)


def _name(config):
    kept = config["model_file"]
    return kept.get("name") if isinstance(kept, dict) else kept
