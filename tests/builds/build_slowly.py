"""Build once, with calls of the file system that take their time."""

import os
import random
import sys
import time

from bsnn.builds import build_once, cache_dir

CALLS = ("mkdir", "open", "rename", "rmdir", "scandir", "stat", "unlink")


def slow(call, rng):
    def wait_and_call(*arguments, **options):
        time.sleep(rng.uniform(0, 0.03))
        try:
            return call(*arguments, **options)
        finally:
            time.sleep(rng.uniform(0, 0.03))

    return wait_and_call


def make(folder):
    with open(cache_dir() / "made", "a") as file:
        file.write("made\n")
    for name in "abc":
        (folder / name).touch()


if __name__ == "__main__":
    rng = random.Random(int(sys.argv[1]))
    for name in CALLS:
        setattr(os, name, slow(getattr(os, name), rng))
    folder = build_once("kind", "key", make)
    assert len(list(folder.iterdir())) == 3
