"""A resident program that is replaced when it fails, and the batch done again."""

import logging

from bsnn.errors import ProgramError

MAX_FAILURES = 3  # in a row, with no batch between them

log = logging.getLogger(__name__)


class SupervisedProgram:
    """Keeps a `ResidentProgram` alive.

    A batch is a function of weights and inputs alone, so done again by a new program it
    gives the same spikes. The weights are in memory that programs cannot write.

    Parameters
    ----------
    name : str
        For the warnings.
    start : callable
        Returns a new `ResidentProgram`.
    """

    def __init__(self, name, start):
        self._name, self._start = name, start
        self._program, self._batch, self._failures = start(), None, 0

    @property
    def pid(self):
        return self._program.pid

    @property
    def seconds(self):
        return self._program.seconds

    def send(self, *batch):
        """Start on a batch; collect the answer with `receive`."""
        if self._batch is not None:  # one that an interrupt left uncollected
            self._program.close()
            self._program = self._start()
        self._batch = batch
        try:
            self._program.send(*self._batch)
        except ProgramError as error:
            self._replace(error)

    def receive(self):
        """Wait for the answer of the batch and return it.

        Raises
        ------
        ProgramError
            After three failures in a row.
        """
        while True:
            try:
                answer = self._program.receive()
            except ProgramError as error:
                self._replace(error)
            else:
                self._batch, self._failures = None, 0
                return answer

    def _replace(self, error):
        """Start another program on the same batch."""
        self._failures += 1
        if self._failures == MAX_FAILURES:
            self._failures = 0  # whoever calls again gets as many tries
            raise ProgramError(
                f"{self._name} failed {MAX_FAILURES} times in a row, at last: {error}\n"
                "Training can go on from the last checkpoint.",
                error.stderr,
            ) from error
        log.warning(
            "%s: %s\nIt was started again and repeats its batch (failure %d; %d in a "
            "row end the run).",
            self._name,
            error,
            self._failures,
            MAX_FAILURES,
        )
        self._program.close()
        try:
            self._program = self._start()
            self._program.send(*self._batch)
        except ProgramError as another:
            self._replace(another)

    def close(self):
        self._program.close()

    def abandon(self):
        """In a forked child, let go of the parent's program."""
        self._program.abandon()
