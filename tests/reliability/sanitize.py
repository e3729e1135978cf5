"""Run tests with programs and kernels that watch every access and operation.

    python -m tests.reliability.sanitize [pytest's arguments]

Without arguments: the tests of spikes, events and gradients, and the fuzz of spikes.
What goes wrong ends the process and is told on stderr.
"""

import os
import subprocess
import sys
from pathlib import Path

from bsnn.builds import compiler

ROOT = Path(__file__).parents[2]
TESTS = [
    f"tests/{name}.py"
    for name in "simulators/test_grid program/test_supervised simulators/test_event "
    "training/linear/test_gradient training/linear/test_kernel "
    "training/test_network_gradient training/test_determinism training/test_numbers "
    "simulators/test_sizes simulators/test_network simulators/test_delays "
    "simulators/test_patterns reliability/test_sanitize".split()
]
FUZZ_SCALE = 0.2  # of the inputs that `make fuzz` reads


def environment():
    """Return the environment of a Python that can load kernels with sanitizers."""
    libraries = []
    # Python brings no C++ library, whose throw the address sanitizer looks for first.
    for name in ("libasan.so", "libstdc++.so.6"):
        command = [*compiler(), f"-print-file-name={name}"]
        libraries.append(subprocess.check_output(command, text=True).strip())
    return {
        **os.environ,
        "BSNN_SANITIZE": "1",
        "LD_PRELOAD": ":".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's
    }


def main(arguments):
    run = [sys.executable, "-m"]
    # Not --capture=fd: what a sanitizer says as it ends pytest would be lost with it.
    tests = ["pytest", "-q", "--capture=sys", *(arguments or TESTS)]
    commands = [[*run, *tests]]
    if not arguments:
        # Not before: it instruments what is imported after it.
        from tests.reliability.fuzz import INPUTS

        readers = [name for name in INPUTS if "spikes" in name]
        commands.append(
            [*run, "tests.reliability.fuzz", *readers, f"--scale={FUZZ_SCALE}"]
        )
    codes = [
        subprocess.run(command, cwd=ROOT, env=environment()).returncode
        for command in commands
    ]
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
