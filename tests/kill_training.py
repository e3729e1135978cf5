"""Train digits in children that kill themselves around the n-th renaming of a file."""

import os
import random
import signal
import sys

import bsnn
from bsnn.analysis import Measurement
from bsnn.runs import RunFolder
from bsnn.training.loop import train
from bsnn.training.settings import Settings

EPOCHS, N_TRAIN, N_TEST = 3, 200, 50


def train_digits(path, **changes):
    """Train, or go on, with a checkpoint after each batch."""
    settings = Settings.reference(
        "digits", dt_ms=2.0, epochs=EPOCHS, batch_size=25, workers=1, **changes
    )
    dataset = bsnn.load_dataset("digits").head(N_TRAIN, N_TEST)
    train(
        settings,
        dataset,
        RunFolder(path),
        measurement=Measurement,
        resume=True,
        progress=False,
        checkpoint_seconds=0,
    )


def die_at(call, after):
    """Let the `call`-th os.replace be the last, done or not."""
    rename, calls = os.replace, iter(range(1, call + 1))

    def replace(*names):
        last = next(calls) == call
        if not last or after:
            rename(*names)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace


def main(path, n_kills):
    rng = random.Random(5)
    for _ in range(n_kills):
        call, after = rng.randint(2, 5), rng.random() < 0.5
        child = os.fork()
        if child == 0:
            die_at(call, after)
            train_digits(path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a child was not killed, it ended with {status}")
    train_digits(path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
