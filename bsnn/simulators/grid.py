"""The clock-driven simulator: resident Brian2 programs, one per core."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

import numpy as np

from bsnn.equations.units import as_positive, one_of
from bsnn.model import Model
from bsnn.processes.forks import tell_of_forks
from bsnn.program.chain_form import ChainForm
from bsnn.program.memory import SharedWeights
from bsnn.program.pool import Pool
from bsnn.spikes import Spikes
from bsnn.targets.cpp.target import CppTarget

from .base import Simulator, count_workers
from .turns import closed_error

if TYPE_CHECKING:
    from bsnn.targets.cuda.target import CudaTarget


class GridSimulator(Simulator):
    """Simulates a model under the rule "grid" with generated programs.

    Parameters
    ----------
    model : Model
    target : CppTarget or CudaTarget
        What the programs are generated for: C++ unless given.
    workers : int, optional
        Processes that share each batch; one per core unless given. On a GPU there is
        one.
    precision : {"double", "single"}
        Of state, weights and records in the program.
    projection : {"dense", "synapses"}
        See `bsnn.program.forward.build_network`; on a GPU "dense" alone.
    timeout : float
        Seconds after which a batch counts as hung. A program that hangs, dies or
        writes nonsense is started again, and its part of the batch repeated.

    Attributes
    ----------
    target : CppTarget or CudaTarget
        With all that this machine decides.
    folder : Path
        Of the compiled program.
    seconds : float
        What simulating the last batch took the slowest process, without the exchange.

    Raises
    ------
    ValueError
        If an option or the model's rule is not possible.
    BackendUnavailable, BuildError
        If there is no such device, or the program cannot be built.
    ProgramError
        If it cannot be started.
    """

    def __init__(
        self,
        model: Model,
        target: CppTarget | CudaTarget = CppTarget(),  # noqa: B008  it cannot be changed
        *,
        workers: int | None = None,
        precision: str = "double",
        projection: str = "dense",
        timeout: float = 60.0,
    ):
        if isinstance(target, type) or not hasattr(target, "build"):
            raise TypeError(
                f"'target' must be a CppTarget or CudaTarget, got {target!r}; "
                "make_simulator(model, device=...) takes the name of a device."
            )
        one_of(projection, "projection", target.projections)
        target = target.here()
        super().__init__(
            model,
            target=target,
            workers=workers,
            precision=precision,
            projection=projection,
            timeout=timeout,
        )
        if not model.time_rule.clock_driven:
            raise ValueError(f"'rule' must be 'grid' here, got {model.rule!r}.")
        workers = 1 if target.one_program else count_workers(workers)
        timeout = as_positive(timeout, "timeout")
        self.folder = target.build(model, precision=precision, projection=projection)
        self.target = target
        self.seconds = 0.0
        self._workers, self._timeout = workers, timeout
        self._real = np.dtype(np.float32 if precision == "single" else np.float64)
        self._start_programs()

    def _start_programs(self):
        real, shapes = self._real, self.model.weight_shapes
        self._memory = SharedWeights(real, shapes)
        form, segment = ChainForm(self.model, real), self._memory.segment
        self._pool = Pool(self.folder, form, segment, self._workers, self._timeout)
        self._end = weakref.finalize(self, self._pool.close)
        tell_of_forks(self)

    @property
    def pids(self) -> list[int]:
        """Process ids of the running programs."""
        return self._pool.pids

    def weight_arrays(self) -> list[np.ndarray]:
        """Return arrays for the weights in the memory that the programs read.

        Weights that are updated in place there need not be copied for each batch. The
        arrays hold longer than the simulator.
        """
        if self.closed:
            raise closed_error(type(self).__name__)
        return list(self._memory.arrays)

    def _run(self, weights, inputs):
        n_samples = inputs.n_samples
        if not len(self._pool):  # in a forked child
            self._start_programs()
        weights_at = self._memory.place(weights)
        shares = shares_of(n_samples, len(self._pool))
        batches = [(inputs.select(*share), weights_at) for share in shares]
        shards, self.seconds = self._pool.run(batches)
        return [Spikes.concatenate(parts) for parts in zip(*shards, strict=True)]

    def _release(self):
        self._end()
        self._memory = None

    def after_fork(self) -> None:
        super().after_fork()
        self._end.detach()
        self._pool.abandon()


def shares_of(n_samples, n_programs):
    """Return from and to which sample each program simulates; none has nothing to do.

    One that has no sample at all is the first program's.
    """
    bounds = [k * n_samples // n_programs for k in range(n_programs + 1)]
    shares = [pair for pair in itertools.pairwise(bounds) if pair[0] < pair[1]]
    return shares or [(0, 0)]
