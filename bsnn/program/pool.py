"""Programs that share batches and one segment of data, each on a core of its own."""

import functools
import os

from .resident import ResidentProgram
from .supervised import SupervisedProgram


class Pool:
    """Keeps programs of one build alive.

    Parameters
    ----------
    folder : Path
        Of the compiled program.
    form : ChainForm or GraphForm
    segment : Segment
        What all of them read; closed with them.
    n_programs : int
    timeout : float
        Seconds after which a batch counts as hung.
    """

    def __init__(self, folder, form, segment, n_programs, timeout):
        self._segment, self._programs = segment, []
        start = functools.partial(ResidentProgram, folder, form, segment, timeout)
        cores = sorted(os.sched_getaffinity(0))
        if n_programs != len(cores):  # others may want some of them
            cores = [None] * n_programs
        try:
            for worker, core in enumerate(cores, start=1):
                started = functools.partial(start, core=core)
                self._programs.append(SupervisedProgram(f"worker {worker}", started))
        except BaseException:
            self.close()
            raise

    def __len__(self):
        return len(self._programs)

    @property
    def pids(self):
        return [program.pid for program in self._programs]

    def run(self, batches):
        """Give each batch to a program; return answers and the longest seconds."""
        busy = self._programs[: len(batches)]
        for program, batch in zip(busy, batches, strict=True):
            program.send(*batch)
        answers = [program.receive() for program in busy]
        return answers, max(program.seconds for program in busy)

    def close(self):
        """End the processes; may be called twice."""
        for program in self._programs:
            program.close()
        self._programs.clear()
        self._segment.close()

    def abandon(self):
        """In a forked child, let go of the parent's programs."""
        for program in self._programs:
            program.abandon()
        self._programs.clear()
