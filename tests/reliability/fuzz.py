"""Read 140,000 damaged inputs; any error but the documented ones is a failure.

    python -m tests.reliability.fuzz [--scale 1] [--seed 0] [--keep fuzz] [READER ...]

Coverage guides the damage where atheris is installed (extra "fuzz"). What fails is kept
in the folder --keep.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None
    guide = contextlib.nullcontext()
else:
    guide = atheris.instrument_imports(
        include=["bsnn", "gzip", "json", "zipfile", "numpy.lib"],
        enable_loader_override=False,
    )
with contextlib.redirect_stderr(io.StringIO()), guide:  # it names each module
    from tests.reliability import outside
    from tests.reliability.untrusted import make_readers, make_rng

# Damaged inputs of each reader: fewer where reading takes milliseconds.
INPUTS = {
    "images": 25_000,
    "images.gz": 15_000,
    "labels": 10_000,
    "labels.gz": 10_000,
    "events.h5": 500,  # a process each
    "graph.nir": 500,
    "sound.wav": 10_000,
    "spikes": 15_000,
    "settings": 15_000,
    "network": 3_000,
    "options": 10_000,
    "config.json": 4_000,
    "summary.json": 2_000,
    "metrics.csv": 2_000,
    "confidence.csv": 2_000,
    "evaluations.csv": 1_000,
    "one_neuron.csv": 1_000,
    "checkpoint": 8_000,
    outside.NAME: 10_000,
}
MEMORY = 1 << 30  # bytes that reading may take beyond what the process has
SECONDS = 30  # after which a file counts as never read


class Campaign:
    """Reads damaged inputs of one reader and counts; keeps what it fails on."""

    def __init__(self, name, reader, keep):
        self.name, self.reader, self.keep = name, reader, keep
        self.accepted = self.n_inputs = 0
        self.start = time.monotonic()

    def read(self, data):
        self.n_inputs += 1
        try:
            self.accepted += self.reader.accepts(data)
        except BaseException:
            path = self.keep / f"{self.name}.failed"
            path.write_bytes(data)
            traceback.print_exc(limit=-3, file=sys.stdout)
            print(f"{self.name}: failed on {path}, input {self.n_inputs}", flush=True)
            os._exit(1)

    def end(self):
        refused = self.n_inputs - self.accepted
        speed = self.n_inputs / (time.monotonic() - self.start)
        print(
            f"{self.name:16}{self.n_inputs:8} inputs{self.accepted:8} read"
            f"{refused:8} refused{speed:8.0f}/s",
            flush=True,
        )
        os._exit(0)  # libFuzzer has no other end that counts as success


def fuzz(name, n_inputs, seed, folder, keep):
    """Damage files of one reader; this process ends with 0 unless one fails."""
    if name == outside.NAME:
        reader = outside.make_reader(folder, outside.make_simulators())
    else:
        reader = make_readers(folder)[name]
    assert reader.accepts(reader.valid), name
    used = int(Path("/proc/self/statm").read_text().split()[0])
    limit = used * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    campaign = Campaign(name, reader, keep)

    def test(data):
        campaign.read(data)
        if campaign.n_inputs == n_inputs:
            campaign.end()

    if atheris is None:
        rng = make_rng(seed)
        while True:
            test(reader.damaged(reader.valid, rng))

    def mutate(data, max_size, seed):
        rng = make_rng(seed)
        # libFuzzer's own damage draws on what it has seen compared. What began as a
        # whole file gets furthest.
        if rng.random() < 0.3:
            return atheris.Mutate(data, max_size)
        return reader.damaged(rng.choice((data, reader.valid)), rng)

    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_bytes(reader.valid)
    with open(keep / f"{name}.log", "wb") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-seed={seed + 1}",
            f"-timeout={SECONDS}",
            "-rss_limit_mb=0",  # the limit above holds
            f"-max_len={1 << 20}",
            "-len_control=0",
            f"-artifact_prefix={keep}/{name}.",
        ],
        test,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(INPUTS))
    parser.add_argument("--scale", type=float, default=1.0, help="times the inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"))
    arguments = parser.parse_args()
    guided = "guided by coverage" if atheris else "not guided: atheris is not installed"
    print(f"damage is {guided}", flush=True)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in arguments.readers or INPUTS:
        n_inputs = max(1, int(arguments.scale * INPUTS[name]))
        # A process each: libFuzzer never returns, and a crash is that of one reader.
        with tempfile.TemporaryDirectory() as folder:
            process = multiprocessing.Process(
                target=fuzz,
                args=(name, n_inputs, arguments.seed, Path(folder), arguments.keep),
            )
            process.start()
            process.join()
        if process.exitcode:
            failed.append(name)
        else:
            (arguments.keep / f"{name}.log").unlink(missing_ok=True)
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
