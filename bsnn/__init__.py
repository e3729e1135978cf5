"""Brian2 spiking networks trained with exact spike-time gradients.

Nothing heavy is imported until a name is used: ``import bsnn`` starts no compiler.
"""

import os
from typing import TYPE_CHECKING

from .lazy import lazy_names

# Unless torch is loaded already: its idle threads would spin on the programs' cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:  # what editors complete
    from . import interchange as interchange
    from . import patterns as patterns
    from .analysis.figures.recordings import plot_raster as plot_raster
    from .analysis.figures.recordings import plot_traces as plot_traces
    from .equations import CubaLIF as CubaLIF
    from .equations.neuron import Neuron as Neuron
    from .inputs.datasets import Dataset as Dataset
    from .inputs.datasets import load_dataset as load_dataset
    from .inputs.encoding import encode_ttfs as encode_ttfs
    from .inputs.timed_dataset import TimedDataset as TimedDataset
    from .model import Model as Model
    from .network import Connection as Connection
    from .network import Inputs as Inputs
    from .network import Network as Network
    from .network import Population as Population
    from .patterns import Pattern as Pattern
    from .readout import Readout as Readout
    from .simulators.choose import make_simulator as make_simulator
    from .spikes import Spikes as Spikes

_HOME = {
    "Connection": ".network",
    "CubaLIF": ".equations",
    "Dataset": ".inputs.datasets",
    "Inputs": ".network",
    "Model": ".model",
    "Network": ".network",
    "Neuron": ".equations.neuron",
    "Pattern": ".patterns",
    "Population": ".network",
    "Readout": ".readout",
    "Spikes": ".spikes",
    "TimedDataset": ".inputs.timed_dataset",
    "encode_ttfs": ".inputs.encoding",
    "interchange": ".interchange",
    "load_dataset": ".inputs.datasets",
    "make_simulator": ".simulators.choose",
    "patterns": ".patterns",
    "plot_raster": ".analysis.figures.recordings",
    "plot_traces": ".analysis.figures.recordings",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
