"""Brian2 spiking networks trained with exact spike-time gradients.

Nothing heavy is imported until a name is used: ``import bsnn`` starts no compiler.
"""

import os
from typing import TYPE_CHECKING

from .lazy import lazy_names

# Unless torch is loaded already: its idle threads would spin on the programs' cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:  # what editors complete
    from .equations import CubaLIF as CubaLIF
    from .inputs.datasets import load_dataset as load_dataset
    from .inputs.encoding import encode_ttfs as encode_ttfs
    from .model import Model as Model
    from .simulators.choose import make_simulator as make_simulator
    from .spikes import Spikes as Spikes

_HOME = {
    "CubaLIF": ".equations",
    "Model": ".model",
    "Spikes": ".spikes",
    "encode_ttfs": ".inputs.encoding",
    "load_dataset": ".inputs.datasets",
    "make_simulator": ".simulators.choose",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
