"""The process of one peer: takes a case, prints what it cost as JSON."""

import importlib
import importlib.metadata
import json
import resource
import sys
import time


def main(name, family, path):
    package = f"{__package__}.{family}".rstrip(".")
    case = importlib.import_module(f"{package}.case").Case(path)
    forward, step = importlib.import_module(f"{package}.{name}").make(case)
    result = {
        "version": importlib.metadata.version(name),
        "spikes": forward(),
        "forward_seconds": _timed(forward, case.repeats),
        "training_seconds": _timed(step, case.repeats),
        "peak_memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(result))


def _timed(function, repeats):
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
