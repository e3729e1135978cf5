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
    spikes, forward_seconds = forward(), _timed(forward, case.repeats)
    step()
    before = time.process_time()
    training_seconds = _timed(step, case.repeats)
    result = {
        "version": importlib.metadata.version(name),
        "spikes": spikes,
        "forward_seconds": forward_seconds,
        "training_seconds": training_seconds,
        "training_cpu": (time.process_time() - before) / (1 + case.repeats),
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
