"""What stock Brian2 makes of a network's texts, with NumPy, a sample at a time."""

from dataclasses import dataclass

import brian2
import numpy as np
from brian2.units import Quantity

from bsnn.equations.dimensions import unit_name


@dataclass
class StockRun:
    """Spikes as {(step, neuron)} and traces, by population."""

    spikes: dict
    traces: dict


def run_stock(network, weights, inputs, sample):
    """Simulate one sample of a `Network` with Brian2's own objects."""
    brian2.defaultclock.dt = network.dt
    dt = network.dt_seconds
    brian2.prefs.codegen.target = "numpy"
    objects, monitors, states = {}, {}, {}
    for part in network.populations:
        if part.name in {i.name for i in network.inputs}:
            spikes = inputs[part.name].select(sample, sample + 1)
            objects[part.name] = brian2.SpikeGeneratorGroup(
                part.size,
                spikes.neuron,
                spikes.step * dt * brian2.second,
                name=f"stock_{part.name}",
            )
            continue
        neuron = part.neuron
        given = inputs.get(part.name, {})
        declared = set(neuron.parsed)
        each = {k for k, v in neuron.parameters.items() if np.ndim(v) or k in declared}
        namespace = {k: v for k, v in neuron.parameters.items() if k not in each}
        for name, values in given.items():
            unit = Quantity(1.0, dim=neuron.dimensions[name])
            values = values[sample, :, 0] if values.shape[2] == 1 else values[sample]
            namespace[name] = brian2.TimedArray(values * unit, dt=network.dt)
        each = {k: neuron.parameters[k] for k in each}
        lines = [neuron.equations] + [
            f"{k} : {unit_name(neuron.dimensions[k])} (constant)"
            for k in each
            if k not in declared
        ]
        group = brian2.NeuronGroup(
            part.size,
            "\n".join(lines),
            threshold=neuron.threshold,
            reset=neuron.reset or None,
            refractory=False if neuron.refractory is None else neuron.refractory,
            method=neuron.method,
            namespace=namespace,
            name=f"stock_{part.name}",
        )
        for name, value in {**each, **neuron.initial}.items():
            setattr(group, name, value)
        objects[part.name] = group
        if neuron.threshold is not None:
            monitors[part.name] = brian2.SpikeMonitor(group)
        if part.record:
            states[part.name] = brian2.StateMonitor(group, part.record, record=True)
    synapses = []
    for k, (connection, weight) in enumerate(
        zip(network.connections, weights, strict=True)
    ):
        neuron = network.named[connection.target].neuron
        joined = brian2.Synapses(
            objects[connection.source],
            objects[connection.target],
            f"w : {unit_name(network.synapses[k].unit.dim)}",
            on_pre=connection.on_pre,
            delay=connection.delay if np.ndim(connection.delay) == 0 else None,
            namespace={},
            name=f"stock_synapses_{k}",
        )
        if connection.pattern is None:
            joined.connect()
            pairs = np.shape(weight)
        else:
            joined.connect(i=connection.pattern.i, j=connection.pattern.j)
            pairs, weight = (len(joined),), weight[connection.pattern.weight]
        joined.w = np.ravel(weight) * network.synapses[k].unit
        if np.ndim(connection.delay):
            seconds = np.asarray(connection.delay / brian2.second)
            if seconds.shape != pairs:  # of each presynaptic neuron
                seconds = seconds[np.asarray(joined.i), 0]
            joined.delay = np.ravel(seconds) * brian2.second
        synapses.append(joined)
    whole = brian2.Network(
        *objects.values(), *synapses, *monitors.values(), *states.values()
    )
    whole.run(network.n_steps * network.dt, namespace={})
    return StockRun(
        spikes={
            name: set(
                zip(
                    np.rint(np.asarray(m.t) / dt).astype(int).tolist(),
                    np.asarray(m.i).tolist(),
                    strict=True,
                )
            )
            for name, m in monitors.items()
        },
        traces={
            (name, variable): np.asarray(getattr(m, variable)).T
            for name, m in states.items()
            for variable in network.named[name].record
        },
    )
