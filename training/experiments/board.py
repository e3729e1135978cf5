"""Epochs as TensorBoard shows them, beside metrics.csv."""

import contextlib

from bsnn.extras import needed
from bsnn.runs import METRICS_COLUMNS

FOLDER = "tensorboard"
_VALUES = [name for name in METRICS_COLUMNS if name not in ("epoch", "split")]


def writer_class():
    """Return torch's ``SummaryWriter``.

    Raises
    ------
    BackendUnavailable
        If tensorboard is not installed.
    """
    with needed("'tensorboard' needs", "tensorboard", "tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter


@contextlib.contextmanager
def board(folder, epoch, wanted):
    """Yield a function that writes rows of metrics.csv for TensorBoard, if wanted.

    Each value is a scalar ``<value>/<split>`` at its epoch.

    Parameters
    ----------
    folder : RunFolder
        Which gets a folder for TensorBoard.
    epoch : int
        Epochs done: what is there of later ones is no longer shown.
    wanted : bool
    """
    if not wanted:
        yield lambda rows: None
        return
    with writer_class()(folder.path / FOLDER, purge_step=epoch + 1) as writer:

        def write(rows):
            for row in rows:
                for name in _VALUES:
                    tag = f"{name}/{row['split']}"
                    writer.add_scalar(tag, row[name], row["epoch"])
            writer.flush()

        yield write
