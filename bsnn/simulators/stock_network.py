"""A `Network` in stock Brian2, with the user's own texts: what to compare with.

Fully connected `Synapses` on Brian2's own C++ device, built once, as in
`bsnn.simulators.stock`; samples follow one another in time.
"""

import tempfile
import time
from functools import partial

import numpy as np

from bsnn.equations.dimensions import unit_name
from bsnn.gate import spikes_for
from bsnn.network import Inputs, Network
from bsnn.processes.tasks import call_apart

from .stock import StockRun, read_spikes, spikes_of, timed_calls


def run_stock_network(network, weights, inputs, *, precision="double", repeats=5):
    """Simulate a batch of a network in stock Brian2.

    Runs in a process of its own, as Brian2's device is global to a process.

    Parameters
    ----------
    network : Network
        Without currents, noise and delays.
    weights : sequence of ndarray, shapes `network.weight_shapes`
        In SI units.
    inputs : dict of str to Spikes
        By the name of the inputs.
    precision : {"double", "single"}
    repeats : int
        Calls that are timed, after one that is not.

    Returns
    -------
    StockRun
        Whose `records` are `Spikes` by population that can fire, and whose `traces`
        are what the populations record.

    Raises
    ------
    ValueError
        If a current would have to be given, spikes would arrive in the next sample, or
        the numbers are random.
    ProgramError
        If it fails; with what Brian2 wrote.
    """
    for part in network.groups:
        if part.neuron.currents or part.neuron.parsed.stochastic_variables:
            raise ValueError(
                f"population {part.name!r} has currents or noise, which are not "
                "compared with stock Brian2."
            )
    if any(delays.any() for delays in network.delays):
        raise ValueError("delays would carry spikes into the next sample.")
    spikes = {
        part.name: spikes_for(network.entrance(part), inputs[part.name])
        for part in network.inputs
    }
    return call_apart(_run, network.to_dict(), weights, spikes, precision, repeats)


def _run(network, weights, inputs, precision, repeats):
    import brian2
    from brian2 import device, prefs, second

    np.seterr(over="ignore")  # in Brian2's check for infinite states in single
    network = Network.from_dict(network)
    n_samples = next(iter(inputs.values())).n_samples
    single = precision == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    with tempfile.TemporaryDirectory() as folder:
        brian2.set_device("cpp_standalone", build_on_run=False, directory=folder)
        whole, synapses, monitors, recorders = _objects(network, inputs)
        start = time.perf_counter()
        period = network.n_steps * network.dt_seconds
        whole.run(n_samples * period * second, namespace={})
        device.build(directory=folder, run=False)
        build_seconds = time.perf_counter() - start
        weighted = {
            joined.w: np.ravel(weight) * synapse.unit
            for joined, weight, synapse in zip(
                synapses, weights, network.synapses, strict=True
            )
        }
        readers = [partial(read_spikes, monitor) for monitor in monitors.values()]
        readers += [partial(_read_trace, r, v) for (_, v), r in recorders.items()]
        calls, programs, recorded = timed_calls(device, weighted, readers, repeats)
    fired, traced = recorded[: len(monitors)], recorded[len(monitors) :]
    return StockRun(
        build_seconds=build_seconds,
        call_seconds=calls,
        program_seconds=programs,
        records={
            name: spikes_of(network, network.named[name].size, n_samples, *arrays)
            for name, arrays in zip(monitors, fired, strict=True)
        },
        traces={
            key: values.T.reshape(n_samples, network.n_steps, -1)
            for key, values in zip(recorders, traced, strict=True)
        },
    )


def _read_trace(monitor, variable):
    return np.array(getattr(monitor, f"{variable}_"))


def _objects(network, inputs):
    from brian2 import Network as BrianNetwork
    from brian2 import SpikeMonitor, StateMonitor, defaultclock

    defaultclock.dt = network.dt
    groups, monitors, recorders, synapses = {}, {}, {}, []
    for part in network.populations:
        if isinstance(part, Inputs):
            groups[part.name] = _generator(network, part, inputs[part.name])
            continue
        groups[part.name] = _group(network, part)
        if part.neuron.threshold is not None:
            monitors[part.name] = SpikeMonitor(groups[part.name])
        for variable in part.record:
            # After the states have begun anew, in the same slot.
            recorders[part.name, variable] = StateMonitor(
                groups[part.name], variable, record=True, order=1
            )
    for index in range(len(network.connections)):
        synapses.append(_synapses(network, index, groups))
    recording = *monitors.values(), *recorders.values()
    whole = BrianNetwork(*groups.values(), *synapses, *recording)
    return whole, synapses, monitors, recorders


def _generator(network, part, spikes):
    from brian2 import SpikeGeneratorGroup, second

    times = (spikes.sample * network.n_steps + spikes.step) * network.dt_seconds
    return SpikeGeneratorGroup(
        part.size, spikes.neuron, times * second, name=f"stock_{part.name}"
    )


def _group(network, part):
    """Return a population whose states begin anew with each sample."""
    from brian2 import NeuronGroup

    neuron = part.neuron
    own = {
        name: value
        for name, value in neuron.parameters.items()
        if name in neuron.parsed or np.ndim(value)
    }
    declared = [
        f"{name} : {_unit(neuron, name)} (constant)"
        for name in own
        if name not in neuron.parsed
    ]
    first = [f"first_{s} : {_unit(neuron, s)} (constant)" for s in neuron.states]
    group = NeuronGroup(
        part.size,
        "\n".join([neuron.equations, *declared, *first]),
        threshold=neuron.threshold,
        reset=neuron.reset or None,
        refractory=False if neuron.refractory is None else neuron.refractory,
        method=neuron.method,
        namespace={n: v for n, v in neuron.parameters.items() if n not in own},
        name=f"stock_{part.name}",
    )
    for name, value in {**own, **neuron.initial}.items():
        setattr(group, name, value)
    for name, value in neuron.initial.items():
        setattr(group, f"first_{name}", value)
    code = [f"{name} = first_{name}" for name in neuron.states]
    if neuron.refractory is not None:
        code += ["lastspike = -1e4*second", "not_refractory = True"]
    group.run_regularly(
        "\n".join(code),
        dt=network.n_steps * network.dt,
        when="start",
        name=f"stock_rest_{part.name}",
    )
    return group


def _unit(neuron, name):
    return unit_name(neuron.dimensions[name])


def _synapses(network, index, groups):
    from brian2 import Synapses

    connection = network.connections[index]
    synapse = network.synapses[index]
    joined = Synapses(
        groups[connection.source],
        groups[connection.target],
        f"w : {unit_name(synapse.unit.dim)}",
        on_pre=connection.on_pre,
        namespace={},
        name=f"stock_synapses_{index}",
    )
    joined.connect()
    return joined
