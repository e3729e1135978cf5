"""Train digits in children that are killed: in builds, batches and around renamings."""

import os
import random
import signal
import sys
import time

import bsnn
from bsnn.analysis import Measurement
from bsnn.runs import RunFolder
from bsnn.training import SpikingNetwork
from bsnn.training.loop import train
from bsnn.training.settings import Settings

EPOCHS, N_TRAIN, N_TEST, BATCH_SIZE = 4, 400, 50, 25
N_IN_BUILD, N_AT_RENAMING, N_IN_BATCH = 3, 12, 12


def train_digits(path, **changes):
    """Train, or go on, with a checkpoint after each batch."""
    settings = Settings.reference(
        "digits",
        dt_ms=2.0,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        workers=1,
        **changes,
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


def tell_at(batch, pipe):
    """Write to a pipe as the simulation of the `batch`-th batch begins."""
    simulate, n_left = SpikingNetwork.simulate, batch

    def simulate_and_tell(*arguments):
        nonlocal n_left
        n_left -= 1
        if n_left == 0:
            os.write(pipe, b".")
        return simulate(*arguments)

    SpikingNetwork.simulate = simulate_and_tell


def start(path, prepare, *arguments):
    """Return the id of a child that trains once it is prepared."""
    child = os.fork()
    if child == 0:
        prepare(*arguments)
        train_digits(path)
        os._exit(0)
    return child


def expect_killed(child):
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(f"a child was not killed, it ended with {status}")


def kill(child):
    os.kill(child, signal.SIGKILL)
    expect_killed(child)


def kill_in_build(path, rng):
    child = start(path, lambda: None)
    time.sleep(rng.uniform(0.5, 5))
    kill(child)


def kill_at_renaming(path, rng):
    expect_killed(start(path, die_at, rng.randint(2, 5), rng.random() < 0.5))


def kill_in_batch(path, rng):
    told, telling = os.pipe()
    child = start(path, tell_at, rng.randint(1, 2), telling)
    os.read(told, 1)
    time.sleep(rng.uniform(0, 0.03))  # about one batch and its checkpoint
    kill(child)
    os.close(told)
    os.close(telling)


def main(path):
    rng = random.Random(5)
    for _ in range(N_IN_BUILD):
        kill_in_build(path, rng)
    ways = N_AT_RENAMING * [kill_at_renaming] + N_IN_BATCH * [kill_in_batch]
    rng.shuffle(ways)
    for kill_somehow in ways:
        kill_somehow(path, rng)
    train_digits(path)


if __name__ == "__main__":
    main(sys.argv[1])
