"""The same model in stock Brian2: what a resident program is compared with.

Fully connected `Synapses` on Brian2's own C++ device, built once; each call hands over
new weights with ``device.run(run_args=...)`` and reads the monitors. The input spikes
of a ``SpikeGeneratorGroup`` cannot be handed over: they stay those of the build.
"""

import tempfile
import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bsnn.gate import spikes_for
from bsnn.model import Model
from bsnn.processes.tasks import call_apart
from bsnn.spikes import Spikes


@dataclass(frozen=True, kw_only=True, eq=False)
class StockRun:
    """What calls of a stock Brian2 program took, and what it recorded.

    Parameters
    ----------
    build_seconds : float
    call_seconds : ndarray, shape (repeats,)
        Of whole calls: weights in, spikes out.
    program_seconds : ndarray, shape (repeats,)
        Of the program's run within each call.
    records : list of Spikes
        Each layer's spikes in the last call.
    traces : dict of (str, str) to ndarray, shape (n_samples, n_steps, n_neurons)
        Of a network, what it records in the last call, by population and variable.
    """

    build_seconds: float
    call_seconds: np.ndarray
    program_seconds: np.ndarray
    records: list
    traces: dict = field(default_factory=dict)


def run_stock(model, weights, inputs, *, precision="double", repeats=5):
    """Simulate a batch in stock Brian2, its samples one after another in time.

    Runs in a process of its own, as Brian2's device is global to a process.

    Parameters
    ----------
    model : Model
        With the rule "grid".
    weights : sequence of ndarray
        Weights of each layer in Hz, row = presynaptic neuron.
    inputs : Spikes
        As for `Simulator.run`.
    precision : {"double", "single"}
    repeats : int
        Calls that are timed, after one that is not.

    Returns
    -------
    StockRun

    Raises
    ------
    TypeError, ValueError
        If the model has another rule, or the inputs do not fit it.
    ProgramError
        If it fails; with what Brian2 wrote.
    """
    if not model.time_rule.clock_driven:
        raise ValueError(f"'rule' must be 'grid' here, got {model.rule!r}.")
    inputs = spikes_for(model, inputs)
    return call_apart(_run, model.to_dict(), weights, inputs, precision, repeats)


def _run(model, weights, inputs, precision, repeats):
    import brian2
    from brian2 import device, hertz, prefs, second

    np.seterr(over="ignore")  # in Brian2's check for infinite states in single
    model = Model.from_dict(model)
    single = precision == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    with tempfile.TemporaryDirectory() as folder:
        brian2.set_device("cpp_standalone", build_on_run=False, directory=folder)
        network, synapses, monitors = _network(model, inputs)
        start = time.perf_counter()
        period = model.n_steps * model.dt_seconds
        network.run(inputs.n_samples * period * second, namespace={})
        device.build(directory=folder, run=False)
        build_seconds = time.perf_counter() - start
        weighted = {
            s.w: np.ravel(w) * hertz for s, w in zip(synapses, weights, strict=True)
        }
        calls, programs, recorded = timed_calls(
            device,
            weighted,
            [
                partial(read_spikes, monitor, neuron.state)
                for monitor, neuron in zip(monitors, model.neurons, strict=True)
            ],
            repeats,
        )
    return StockRun(
        build_seconds=build_seconds,
        call_seconds=calls,
        program_seconds=programs,
        records=[
            spikes_of(model, size, inputs.n_samples, *arrays)
            for size, arrays in zip(model.layer_sizes, recorded, strict=True)
        ],
    )


def timed_calls(device, weights, readers, repeats):
    """Run a built program with new weights again and again.

    Parameters
    ----------
    device : CPPStandaloneDevice
    weights : dict of variable to Quantity
    readers : list of callable
        Each returns what a monitor recorded.
    repeats : int
        Calls that count, after one that does not.

    Returns
    -------
    calls, programs : ndarray, shape (repeats,)
        Seconds of whole calls, and of the program within each.
    recorded : list
        What the readers returned after the last call.
    """
    calls, programs = [], []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        device.run(run_args=weights)
        recorded = [read() for read in readers]
        calls.append(time.perf_counter() - start)
        programs.append(device.timers["run_binary"])
        # Else the next call would find its weights written already.
        device.delete(code=False, data=False, directory=False)
    return np.array(calls[1:]), np.array(programs[1:]), recorded


def _network(model, inputs):
    from brian2 import (
        Network,
        SpikeGeneratorGroup,
        SpikeMonitor,
        defaultclock,
        second,
    )

    from bsnn.program.forward import all_to_all, kept_variables, neuron_group

    defaultclock.dt = model.dt
    period = model.n_steps * model.dt_seconds * second
    times = (inputs.sample * model.n_steps + inputs.step) * inputs.dt
    source = SpikeGeneratorGroup(
        model.n_inputs, inputs.neuron, times * second, name="inputs"
    )
    network = Network(source)
    projections, monitors = [], []
    for layer, (size, neuron) in enumerate(
        zip(model.layer_sizes, model.neurons, strict=True), start=1
    ):
        group = neuron_group(model, neuron, size, name=f"layer{layer}")
        group.run_regularly(
            "\n".join(f"{variable} *= 0" for variable in kept_variables(group)),
            dt=period,
            when="start",
            name=f"rest{layer}",
        )
        synapses = all_to_all(source, group, neuron.synapse, layer)
        monitor = SpikeMonitor(group, variables=neuron.state, name=f"spikes{layer}")
        network.add(group, synapses, monitor)
        projections.append(synapses)
        monitors.append(monitor)
        source = group
    return network, projections, monitors


def read_spikes(monitor, state=()):
    """Return the neurons and seconds of a `SpikeMonitor`, its states read as well."""
    for variable in state:  # as a gradient would
        np.asarray(getattr(monitor, f"{variable}_"))
    return np.array(monitor.i), np.array(monitor.t_)


def spikes_of(model, size, n_samples, neuron, seconds):
    """Return recorded events of samples one after another as `Spikes`."""
    sample, step = np.divmod(
        np.rint(seconds / model.dt_seconds).astype(np.int64), model.n_steps
    )
    return Spikes.from_events(
        sample=sample,
        neuron=neuron,
        step=step,
        n_samples=n_samples,
        n_neurons=size,
        dt=model.dt_seconds,
    )
