"""A network of one's own, as a Python file that the commands take with --model.

The file is the user's, named by the user: it is executed as a script is. What a run
folder keeps of it is text, which is compared and shown, and never executed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import linecache
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from brian2.units import ms

from .errors import ModelFileError
from .inputs.datasets import Dataset, data_folder, is_name, load_dataset
from .inputs.timed_dataset import TimedDataset
from .network import Network
from .readout import Readout, default_readout

# What a file may say of its network, as `DerivedNetwork` takes it.
OPTIONS = ("learn", "bounds", "constraints", "slope_min", "gradient", "estimator")


@dataclass(frozen=True)
class ModelFile:
    """What `network`, `weights` and other names in a Python file say of a network.

    ``network(dt)`` returns the `Network` for a time step. `weights` are the initial
    ones, as `DerivedNetwork` takes them, or a function of network and random generator
    that returns them. It may define `learn`, `bounds`, `constraints`, `slope_min` and
    `gradient` and `estimator`, also as `DerivedNetwork` takes them; `readout`, a
    `Readout`; ``loss(activity, labels)``, which returns a scalar tensor; and
    ``encode(values, network)``, which returns the network's inputs, of what the data
    set holds: see `bsnn.inputs.codes`. ``dataset(folder)`` reads data of one's own,
    and ``after_epoch(end)`` is called with a `bsnn.training.EpochEnd`.

    The file may import what is installed, but no file beside it: its text is all that
    the run folder and other machines have of it.

    Parameters
    ----------
    name : str
        Of the file, without folder and ``.py``.
    text : str
    """

    name: str
    text: str

    @classmethod
    def read(cls, path) -> ModelFile:
        """Return the file at a path.

        Raises
        ------
        ModelFileError
            If there is no such file, or it holds no text.
        ValueError
            If its name cannot be part of the names of folders.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(
                f"'model' must name a Python file that can be read, got {path} "
                f"({error})."
            ) from error
        if path.suffix != ".py" or not is_name(path.stem):
            raise ValueError(
                "'model' must name a file of letters, digits and any of _.+- that ends "
                f"in .py, got {path.name!r}."
            )
        return cls(path.stem, text)

    @property
    def filename(self) -> str:
        return f"{self.name}.py"

    @functools.cached_property
    def defined(self) -> dict:
        """What the file defines, by name."""
        names = {"__name__": self.name, "__file__": self.filename}
        # So that messages show the lines they speak of.
        lines = self.text.splitlines(keepends=True)
        linecache.cache[self.filename] = (len(self.text), None, lines, self.filename)
        with self.told("it cannot be executed"):
            exec(compile(self.text, self.filename, "exec"), names)
        return names

    def __getstate__(self):  # functions of the file cannot travel; its text does
        return {"name": self.name, "text": self.text}

    @contextlib.contextmanager
    def told(self, what):
        """Name the file and line of whatever goes wrong inside."""
        try:
            yield
        except Exception as error:
            line = self._line(error)
            where = f"{self.filename}, line {line}" if line else self.filename
            hint = ""
            if isinstance(error, ModuleNotFoundError):
                hint = " (a model file imports what is installed, no file beside it)"
            raise ModelFileError(
                f"{where}: {what}: {type(error).__name__}: {error}{hint}"
            ) from error

    def _line(self, error):
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == self.filename]
        if isinstance(error, SyntaxError):
            lines.append(error.lineno)
        return lines[-1] if lines else None

    def network(self, dt_ms: float) -> Network:
        """Return the network at a time step in milliseconds.

        Raises
        ------
        ModelFileError
            If the file defines no ``network(dt)``, or that fails, returns something
            else, or a network of another time step.
        """
        return _network(self, dt_ms)

    def readout(self, network: Network) -> Readout:
        """Return how the label is read out of a network that the file defined."""
        readout = self.defined.get("readout")
        if readout is None:
            return default_readout(network)
        if not isinstance(readout, Readout):
            raise ModelFileError(
                f"'readout' of {self.filename} must be a bsnn.Readout, got {readout!r}."
            )
        return readout.of(network)

    def load(self, name: str, *, data_dir=None):
        """Return a data set: by the file's ``dataset(folder)``, if it defines one.

        Parameters
        ----------
        name : str
            Of a data set, as for `load_dataset`, or else of a folder in the data folder
            that ``dataset`` reads.
        data_dir : path, optional
            As for `load_dataset`.

        Raises
        ------
        ModelFileError
            If ``dataset`` fails or returns something else.
        """
        own = self.defined.get("dataset")
        if own is None:
            return load_dataset(name, data_dir=data_dir)
        folder = data_folder(data_dir)[0] / name
        with self.told(f"dataset({str(folder)!r}) failed"):
            found = own(folder)
        if not isinstance(found, (Dataset, TimedDataset)):
            raise ModelFileError(
                f"dataset(folder) of {self.filename} must return a bsnn.Dataset or "
                f"bsnn.TimedDataset, got {type(found).__name__}."
            )
        return dataclasses.replace(found, name=name)

    @property
    def encode(self):
        """The file's function that makes inputs of values, or None."""
        return self.defined.get("encode")

    @property
    def after_epoch(self):
        """The file's function to be called after each epoch, or None."""
        own = self.defined.get("after_epoch")
        if own is not None and not callable(own):
            raise ModelFileError(
                f"'after_epoch' of {self.filename} must be a function of an EpochEnd, "
                f"got {own!r}."
            )
        return own and functools.partial(self._call, own)

    def _call(self, own, end):
        with self.told(f"after_epoch of epoch {end.epoch} failed"):
            return own(end)

    def weights(self, network: Network, seed: int) -> dict:
        """Return the initial weights by connection."""
        if "weights" not in self.defined:
            raise ModelFileError(
                f"{self.filename} must define 'weights', by connection: "
                + ", ".join(f"{c.name!r}" for c in network.connections)
                + "; arrays, or two numbers between which they are drawn."
            )
        weights = self.defined["weights"]
        if callable(weights):
            with self.told("weights(network, rng) failed"):
                return weights(network, np.random.default_rng(seed))
        return weights

    def options(self) -> dict:
        """Return the other arguments of `DerivedNetwork` that the file defines."""
        return {n: self.defined[n] for n in OPTIONS if n in self.defined}


@functools.lru_cache(maxsize=32)  # a network is asked for often, and never changes
def _network(file, dt_ms):
    make = file.defined.get("network")
    if not callable(make):
        raise ModelFileError(
            f"{file.filename} must define a function network(dt) that returns a "
            "bsnn.Network with that time step."
        )
    with file.told(f"network({dt_ms:g}*ms) failed"):
        network = make(dt_ms * ms)
    if not isinstance(network, Network):
        raise ModelFileError(
            f"network(dt) of {file.filename} must return a bsnn.Network, got "
            f"{type(network).__name__}."
        )
    if not np.isclose(network.dt_seconds, 1e-3 * dt_ms, rtol=1e-9, atol=0):
        raise ModelFileError(
            f"network({dt_ms:g}*ms) of {file.filename} returned a network of "
            f"{network.dt!s}; write Network(..., dt=dt)."
        )
    if len(network.inputs) != 1 and file.encode is None:
        raise ModelFileError(
            f"the network of {file.filename} must have one Inputs, into which the "
            f"data go, got {len(network.inputs)}."
        )
    return network
