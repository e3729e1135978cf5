"""The clock-driven simulator: resident Brian2 programs, one per core."""

import functools
import os

import numpy as np

from .equations import time_rules
from .equations.units import as_positive
from .program import PRECISIONS, PROJECTIONS, build_program
from .resident import ResidentProgram, Segment, aligned
from .simulator import Simulator, count_workers
from .spikes import Spikes
from .supervision import SupervisedProgram


class GridSimulator(Simulator):
    """Simulates a model under the rule "grid" with generated C++ programs.

    Parameters
    ----------
    model : Model
    workers : int, optional
        Processes that share each batch; one per core unless given.
    precision : {"double", "single"}
        Of state, weights and records in the program.
    projection : {"dense", "synapses"}
        See `bsnn.network.build_network`.
    timeout : float
        Seconds after which a batch counts as hung. A program that hangs, dies or
        writes nonsense is started again, and its part of the batch repeated.

    Attributes
    ----------
    folder : Path
        Of the compiled program.
    seconds : float
        What simulating the last batch took the slowest process, without the exchange.

    Raises
    ------
    ValueError
        If an option or the model's rule is not possible.
    BackendUnavailable, BuildError
        If the program cannot be built.
    ProgramError
        If it cannot be started.
    """

    def __init__(
        self,
        model,
        *,
        workers=None,
        precision="double",
        projection="dense",
        timeout=60.0,
    ):
        super().__init__(model)
        if model.rule != time_rules.GRID:
            raise ValueError(f"'rule' must be 'grid' here, got {model.rule!r}.")
        if precision not in PRECISIONS:
            raise ValueError(
                f"'precision' must be one of {', '.join(PRECISIONS)}, "
                f"got {precision!r}."
            )
        workers, timeout = count_workers(workers), as_positive(timeout, "timeout")
        if projection not in PROJECTIONS:
            raise ValueError(
                f"'projection' must be one of {', '.join(PROJECTIONS)}, "
                f"got {projection!r}."
            )
        real = np.dtype(np.float32 if precision == "single" else np.float64)
        folder = self.folder = self._build(precision, projection)
        sizes = [aligned(real.itemsize * m * n) for m, n in model.weight_shapes]
        starts = np.cumsum([0, *sizes])
        self._segment = Segment(int(starts[-1]))
        self._weights = [
            self._segment.view(int(at), real, shape)
            for at, shape in zip(starts, model.weight_shapes, strict=False)
        ]
        self.seconds = 0.0
        self._programs = []

        start = functools.partial(
            ResidentProgram, folder, model, self._segment, real, timeout
        )
        cores = sorted(os.sched_getaffinity(0))
        if workers != len(cores):  # others may want some of them
            cores = [None] * workers
        try:
            for worker, core in enumerate(cores, start=1):
                self._programs.append(
                    SupervisedProgram(
                        f"worker {worker}", functools.partial(start, core=core)
                    )
                )
        except BaseException:
            self.close()
            raise

    def _build(self, precision, projection):
        return build_program(self.model, precision=precision, projection=projection)

    @property
    def pids(self):
        """Process ids of the running programs."""
        return [program.pid for program in self._programs]

    def weight_arrays(self):
        """Return arrays for the weights in the memory that the programs read.

        Weights that are updated in place there need not be copied for each batch.
        """
        return list(self._weights)

    def _run(self, weights, inputs):
        for shared, given in zip(self._weights, weights, strict=True):
            if given.__array_interface__["data"] != shared.__array_interface__["data"]:
                shared[:] = given
        n_samples = inputs.n_samples
        n_programs = len(self._programs)
        bounds = [k * n_samples // n_programs for k in range(n_programs + 1)]
        busy = []
        for program, start, stop in zip(
            self._programs, bounds[:-1], bounds[1:], strict=True
        ):
            if stop > start:
                program.send(inputs.select(start, stop))
                busy.append(program)
        if not busy:  # an empty batch
            self._programs[0].send(inputs)
            busy.append(self._programs[0])
        shards = [program.receive() for program in busy]
        self.seconds = max(program.seconds for program in busy)
        return [Spikes.concatenate(parts) for parts in zip(*shards, strict=True)]

    def close(self):
        for program in self._programs:
            program.close()
        self._programs = []
        self._weights = None
        self._segment.close()
