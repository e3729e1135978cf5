"""How far a training is, and an epoch of it: what goes on after an interruption."""

import time

from bsnn.errors import RunFolderError

from .summary import make_row


class EpochProgress:
    """How far an epoch, or a test, is.

    Parameters
    ----------
    measured : object
        Gathers records and labels by `add`, and says in `summary` what they amount to.
        To go on in an epoch, its `state` and `restore` are needed as well.

    Attributes
    ----------
    batch : int
        Batches done.
    n_samples : int
        Samples in them.
    """

    def __init__(self, measured):
        self.measured = measured
        self.batch, self.n_samples = 0, 0
        self._loss, self._start = 0.0, time.perf_counter()

    def add(self, loss: float, n_samples: int) -> None:
        """Note a batch by the mean loss of its samples."""
        self.batch += 1
        self.n_samples += n_samples
        self._loss += loss * n_samples

    def join(self, ranks) -> None:
        """Take together what the processes of a `Ranks` have of the same epoch."""
        if ranks.size == 1:
            return
        states = ranks.gathered(self.state())
        self.n_samples = sum(state["n_samples"] for state in states)
        self._loss = sum(state["loss"] for state in states)
        self.measured.join([state["measured"] for state in states])

    def metrics(self) -> dict:
        """Return ``measured.summary()``, with the mean `loss`, and the `seconds`."""
        return {
            **self.measured.summary(),
            "loss": self._loss / max(self.n_samples, 1),
            "seconds": time.perf_counter() - self._start,
        }

    def state(self) -> dict:
        """Return all of it as plain numbers and lists."""
        return {
            "batch": self.batch,
            "loss": self._loss,
            "n_samples": self.n_samples,
            "seconds": time.perf_counter() - self._start,
            "measured": self.measured.state(),
        }

    def restore(self, state: dict) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        RunFolderError
            If what was measured is damaged.
        """
        self.batch, self.n_samples = state["batch"], state["n_samples"]
        self._loss, self._start = state["loss"], self._start - state["seconds"]
        try:
            self.measured.restore(state["measured"])
        except ValueError as error:
            raise RunFolderError(
                f"the checkpoint is damaged ({error}); delete its folder and train "
                "again."
            ) from error


class TrainingProgress:
    """How far a training is.

    Attributes
    ----------
    epoch : int
        Epochs done.
    rows : list of dict
        Of metrics.csv so far.
    within : dict or None
        What `EpochProgress.state` said last of the epoch after these.
    """

    def __init__(self):
        self.epoch, self.rows, self.within = 0, [], None

    def end_epoch(self, trained: dict, seen: dict, split: str) -> None:
        """Note that an epoch is done.

        Parameters
        ----------
        trained, seen : dict
            Metrics of its training, and of the samples that it was tried on.
        split : {"validation", "test"}
            Which those are.
        """
        self.epoch, self.within = self.epoch + 1, None
        self.rows += [
            make_row(self.epoch, "train", trained),
            make_row(self.epoch, split, seen),
        ]

    def validations(self) -> list[tuple[float, float]]:
        """Return what each epoch reached on validation samples, the better the higher.

        Accuracy, and where it is the same, the lower loss.
        """
        rows = (row for row in self.rows if row["split"] == "validation")
        return [(row["accuracy"], -row["loss"]) for row in rows]

    def state(self) -> dict:
        """Return what a checkpoint holds of it."""
        return {"epoch": self.epoch, "rows": self.rows, "within": self.within}

    def restore(self, state: dict) -> None:
        """Go on from what `state` returned, or a checkpoint that holds it."""
        self.epoch, self.rows = state["epoch"], state["rows"]
        self.within = state["within"]
