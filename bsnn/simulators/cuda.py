"""The clock-driven simulator on a GPU: replicas of one Brian2 network side by side."""

import re

from bsnn.equations.units import as_int, as_positive
from bsnn.errors import BackendUnavailable
from bsnn.machine import GPU_NEEDED, find_gpus, n_multiprocessors
from bsnn.targets.cuda.target import build_cuda_program

from .grid import GridSimulator

# Replicas for each multiprocessor: about a thousand on a large card.
REPLICAS_PER_MULTIPROCESSOR = 8
# When the number of multiprocessors cannot be asked for.
DEFAULT_REPLICAS = 256


def require_gpu():
    """Return the compute capability of the first GPU.

    Raises
    ------
    BackendUnavailable
        If there is no GPU.
    """
    gpus = find_gpus()
    if not gpus:
        raise BackendUnavailable(
            f"'device' must be 'cpp' here: no GPU was found. {GPU_NEEDED}; "
            "`bsnn doctor` says more."
        )
    return float(re.search(r",\s*(\d+\.\d+)", gpus)[1])


def default_replicas():
    """Return how many replicas keep the first GPU busy."""
    return REPLICAS_PER_MULTIPROCESSOR * n_multiprocessors() or DEFAULT_REPLICAS


class CudaSimulator(GridSimulator):
    """Simulates a model under the rule "grid" with one generated CUDA program.

    Parameters
    ----------
    model : Model
    precision : {"double", "single"}
        Of state, weights and records in the program.
    projection : {"dense"}
    replicas : int, optional
        Samples simulated at the same time; by the card unless given.
    arch : float, optional
        Compute capability to compile for; that of the first GPU unless given.
    workers : None
        There is one program.
    timeout : float
        Seconds after which a batch counts as hung.

    Raises
    ------
    BackendUnavailable
        If there is no GPU, or a part of CUDA is missing.
    BuildError
        If the program cannot be built.
    """

    def __init__(
        self,
        model,
        *,
        precision="double",
        projection="dense",
        replicas=None,
        arch=None,
        workers=None,
        timeout=60.0,
    ):
        if projection != "dense":
            raise ValueError(
                f"'projection' must be 'dense' on a GPU, got {projection!r}."
            )
        capability = require_gpu()
        if replicas is None:
            replicas = default_replicas()
        self.replicas = as_int(replicas, "replicas", least=1)
        self._arch = capability if arch is None else as_positive(arch, "arch")
        super().__init__(model, workers=1, precision=precision, timeout=timeout)
        self._options = {
            "precision": precision,
            "replicas": self.replicas,
            "arch": self._arch,
            "timeout": timeout,
        }

    def _build(self, precision, projection):
        return build_cuda_program(
            self.model,
            precision=precision,
            n_replicas=self.replicas,
            arch=self._arch,
        )
