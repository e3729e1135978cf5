"""The event-driven simulator: `continuous` and `quantised-event`, exact between spikes.

Each neuron is solved in closed form from one delivery to the next; the mathematics and
its numerical safeguards are in ``native/event.cpp``. Samples are shared among threads.
"""

from __future__ import annotations

import ctypes
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bsnn.kernels import load_kernel, struct
from bsnn.model import Model
from bsnn.processes.forks import tell_of_forks
from bsnn.spikes import Spikes

from .base import Simulator, count_workers

KERNEL = Path(__file__).parent / "native" / "event.cpp"
# As in event.cpp: what a run returns, and the functions for each type of weights.
OUT_OF_MEMORY, FIRES_WITHOUT_BOUND = 1, 2
RUN = {
    np.dtype(np.float32): "event_run_float",
    np.dtype(np.float64): "event_run_double",
}


class EventSimulator(Simulator):
    """Runs a model whose neurons are solved in continuous time.

    Parameters
    ----------
    model : Model
        Under the rule "quantised-event" or "continuous", with tau_mem = 2 tau_syn in
        every layer.
    workers : int, optional
        Threads that share the batch; one per core unless given. The result does not
        depend on it.

    Raises
    ------
    ValueError
        If the model has another rule or ratio of time constants, or `workers` is not
        positive.
    BackendUnavailable, BuildError
        If the kernel cannot be compiled.

    Notes
    -----
    `run` raises ValueError where a neuron fires 100,000 times in a sample, which only
    exploding weights or a tiny `delta_v` bring about.
    """

    def __init__(self, model: Model, *, workers: int | None = None):
        super().__init__(model, workers=workers)
        if model.time_rule.clock_driven:
            raise ValueError(
                "'rule' must be 'quantised-event' or 'continuous' here, got "
                f"{model.rule!r}; use make_simulator, which chooses by the rule."
            )
        workers = count_workers(workers)
        self._layers = [_layer(model, index) for index in range(model.n_layers)]
        self._kernel = _kernel()
        self._workers = workers
        self._start_threads()

    def _start_threads(self):
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="bsnn-event")
        tell_of_forks(self)

    def after_fork(self) -> None:
        super().after_fork()
        self._start_threads()

    def _run(self, weights, inputs):
        weights = [_native_array(weight) for weight in weights]
        n_shards = max(1, min(self._workers, inputs.n_samples))
        bounds = np.linspace(0, inputs.n_samples, n_shards + 1).astype(int)
        shards = itertools.starmap(inputs.select, itertools.pairwise(bounds))
        records = self._pool.map(lambda shard: self._run_layers(weights, shard), shards)
        return [Spikes.concatenate(parts) for parts in zip(*records, strict=True)]

    def _run_layers(self, weights, spikes):
        records = []
        for index, weight in enumerate(weights):
            spikes = self._run_layer(index, weight, spikes)
            records.append(spikes)
        return records

    def _run_layer(self, index, weight, spikes):
        layer = self._layers[index]
        function = getattr(self._kernel, RUN[weight.dtype])
        offset = np.ascontiguousarray(spikes.offset, np.int64)
        source = np.ascontiguousarray(spikes.neuron, np.int32)
        arrival = np.ascontiguousarray(spikes.arrival, np.float64)
        result = ctypes.c_void_p()
        status = function(
            layer,
            weight.ctypes.data,
            spikes.n_samples,
            offset.ctypes.data,
            source.ctypes.data,
            arrival.ctypes.data,
            result,
        )
        if status == OUT_OF_MEMORY:
            raise MemoryError(f"the spikes of layer {index + 1} do not fit in memory.")
        if status == FIRES_WITHOUT_BOUND:
            raise ValueError(
                f"a neuron of layer {index + 1} fires without bound; lower the "
                "weights (the learning rate), raise 'delta_v', or set 'max_spikes'."
            )
        try:
            return self._read(result, layer.n_post, spikes.n_samples)
        finally:
            self._kernel.event_destroy(result)

    def _read(self, result, n_neurons, n_samples):
        n_spikes = self._kernel.event_count(result)
        offset = np.empty(n_samples + 1, np.int64)
        neuron, step = np.empty(n_spikes, np.int32), np.empty(n_spikes, np.int64)
        time, slope = np.empty(n_spikes), np.empty(n_spikes)
        arrays = (offset, neuron, step, time, slope)
        self._kernel.event_read(result, *(array.ctypes.data for array in arrays))
        dt = self.model.dt_seconds
        return Spikes.known(
            neuron=neuron,
            offset=offset,
            n_neurons=n_neurons,
            dt=dt,
            step=step if dt > 0 else None,
            time=time,
            slope=slope,
        )

    def _release(self):
        self._pool.shutdown()


def _layer(model, index):
    p = model.neurons[index].parameters
    return struct(KERNEL, "Parameters")(
        tau_mem=p["tau_mem"],
        v_threshold=p["v_threshold"],
        delta_v=p["delta_v"],
        duration=model.duration_seconds,
        dt=model.dt_seconds,
        max_spikes=0 if model.max_spikes is None else model.max_spikes[index],
        n_post=model.layer_sizes[index],
    )


def _native_array(weight):
    # float32 stays: the rows that spikes pick are what the kernel reads most.
    dtype = weight.dtype if weight.dtype in RUN else np.float64
    return np.ascontiguousarray(weight, dtype)


def _kernel():
    library, pointer = load_kernel(KERNEL), ctypes.c_void_p
    layer = ctypes.POINTER(struct(KERNEL, "Parameters"))
    run = [layer, pointer, ctypes.c_int64, *[pointer] * 3]
    signatures = {
        **dict.fromkeys(RUN.values(), ([*run, ctypes.POINTER(pointer)], ctypes.c_int)),
        "event_count": ([pointer], ctypes.c_int64),
        "event_read": ([pointer] * 6, None),
        "event_destroy": ([pointer], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library
