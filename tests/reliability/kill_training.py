"""Train digits in children that are killed: in builds, batches, writes, renamings."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement
from bsnn.builds import cache_dir
from bsnn.settings import Settings
from bsnn.training import SpikingNetwork
from bsnn.training.experiments.loop import train

EPOCHS, N_TRAIN, N_TEST, BATCH_SIZE = 4, 400, 50, 25
N_IN_BUILD, N_AT_RENAMING, N_IN_BATCH = 3, 8, 8
# Kills while these are written: anywhere, at the end of an epoch, and of the training.
WRITES = (runs.CONFIG, *3 * [runs.CHECKPOINT])
WRITES_OF_EPOCH = 2 * (runs.METRICS,)
LAST_WRITES = (runs.CONFIDENCE, runs.SPIKES, runs.SUMMARY)
N_BATCHES = 15  # of 360 samples: a tenth of them validates


def train_digits(path, **changes):
    """Train, or go on, with a checkpoint after each batch."""
    usual = {"dt_ms": 2.0, "epochs": EPOCHS, "batch_size": BATCH_SIZE, "workers": 1}
    settings = Settings.reference("digits", **{**usual, **changes})
    dataset = bsnn.load_dataset("digits").head(N_TRAIN, N_TEST)
    train(
        settings,
        dataset,
        runs.RunFolder(path),
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


def die_writing(name):
    """Be killed with half of the next file of this name in its temporary one."""
    sync = os.fsync

    def fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name.startswith(f".{name}."):
            os.truncate(descriptor, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = fsync


def tell_at(batch, pipe):
    """Write to a pipe as the simulation of the `batch`-th batch begins."""
    simulate, n_left = SpikingNetwork._run, batch

    def simulate_and_tell(*arguments):
        nonlocal n_left
        n_left -= 1
        if n_left == 0:
            os.write(pipe, b".")
        return simulate(*arguments)

    SpikingNetwork._run = simulate_and_tell


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
    before = programs()
    child = start(path, lambda: None)
    while not programs() - before:  # which goes first
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("a child ended before it built anything")
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 3))  # a third of a build
    kill(child)
    if not all("." in path.name for path in programs()):
        sys.exit("the build was over before the kill")


def programs():
    """Return the folders of compiled programs; unfinished ones have a dot."""
    return set((cache_dir() / "programs").glob("*/"))


def kill_at_renaming(path, rng):
    expect_killed(start(path, die_at, rng.randint(2, 5), rng.random() < 0.5))


def kill_in_batch(path, rng):
    told, telling = os.pipe()
    child = start(path, tell_at, rng.randint(1, 2), telling)
    os.close(telling)
    os.read(told, 1)
    time.sleep(rng.uniform(0, 0.03))  # about one batch and its checkpoint
    kill(child)
    os.close(told)


def kill_in_write(path, name):
    expect_killed(start(path, die_writing, name))
    if not list(Path(path).glob(f".{name}.*")):
        sys.exit(f"{name} was not being written")


def check_two_are_kept(path):
    newest, before = Path(path, runs.CHECKPOINT), Path(path, runs.PREVIOUS)
    if before.is_file() and newest.samefile(before):
        sys.exit("one checkpoint has both names")


def alter_a_bit(path, where):
    """Damage a file at a fraction of its length."""
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)


def kill_going_on(path):
    """Let a finished run go on for more epochs, killed as it begins."""

    def have_fewer_epochs():
        global EPOCHS
        EPOCHS -= 1

    _, status = os.waitpid(start(path, have_fewer_epochs), 0)
    if status or not runs.RunFolder(path).finished:
        sys.exit(f"a child did not finish, it ended with {status}")
    for prepare, *arguments in (
        (die_writing, runs.CONFIG),
        (die_at, 1, False),
        (die_at, 1, True),
    ):
        expect_killed(start(path, prepare, *arguments))
        if runs.RunFolder(path).finished:
            sys.exit("a run counts as finished that is not")
    train_digits(path)


def main(path):
    rng = random.Random(5)
    for _ in range(N_IN_BUILD):
        kill_in_build(path, rng)
    ways = [*N_AT_RENAMING * [kill_at_renaming], *N_IN_BATCH * [kill_in_batch]]
    ways = [(way, rng) for way in ways]
    ways += [(kill_in_write, name) for name in WRITES]
    rng.shuffle(ways)
    middle = len(ways) // 2
    ways[middle:middle] = [(kill_in_write, name) for name in WRITES_OF_EPOCH]
    ways.insert(middle, (lambda *_: alter_a_bit(Path(path, runs.CHECKPOINT), 0.5), rng))
    ways += [(kill_in_write, name) for name in LAST_WRITES]
    for kill_somehow, argument in ways:
        kill_somehow(path, argument)
        check_two_are_kept(path)
    train_digits(path)


if __name__ == "__main__":
    (kill_going_on if "going-on" in sys.argv else main)(sys.argv[1])
