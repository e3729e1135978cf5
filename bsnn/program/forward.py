"""From a `Model` to the Brian2 objects that simulate it."""

from dataclasses import dataclass

from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    prefs,
    second,
)

from .projection import DenseProjection


@dataclass(frozen=True, kw_only=True)
class BrianNetwork:
    """An explicit Brian2 network and its parts, layer by layer."""

    network: Network
    inputs: SpikeGeneratorGroup
    groups: tuple[NeuronGroup, ...]
    projections: tuple
    monitors: tuple[SpikeMonitor, ...]


def build_network(model, code, *, projection="dense", n_replicas=1):
    """Write a model as Brian2 objects on the active device.

    Sets ``defaultclock.dt`` to the model's time step. Every neuron starts at rest.

    Parameters
    ----------
    model : Model
        With the rule "grid".
    code : type
        Code object class of the target.
    projection : {"dense", "synapses"}
        Weight matrices as `DenseProjection`, or stock Brian2 `Synapses`. Either way
        weights are set through ``projections[k].w``, row after row.
    n_replicas : int
        Copies of every group side by side, neuron i of replica r in place r * n + i;
        they share the weights. More than one needs a dense projection and `code` whose
        templates know of replicas.

    Returns
    -------
    parts : BrianNetwork
    """
    defaultclock.dt = model.dt
    inputs = SpikeGeneratorGroup(
        n_replicas * model.n_inputs,
        (),
        () * second,
        name="inputs",
        codeobj_class=code,
    )
    groups, projections, monitors = [], [], []
    source = inputs
    for layer, (size, neuron) in enumerate(
        zip(model.layer_sizes, model.neurons, strict=True), start=1
    ):
        group = neuron_group(
            model,
            neuron,
            n_replicas * size,
            namespace=_in_device_precision(neuron.namespace),
            codeobj_class=code,
            name=f"layer{layer}",
        )
        if projection == "dense":
            projected = DenseProjection(
                source,
                group,
                neuron.synapse,
                code,
                n_replicas=n_replicas,
                name=f"projection{layer}",
            )
        else:
            projected = all_to_all(source, group, neuron.synapse, layer)
        projections.append(projected)
        monitors.append(
            SpikeMonitor(
                group,
                variables=neuron.state,
                name=f"spikes{layer}",
                codeobj_class=code,
            )
        )
        groups.append(group)
        source = group
    return BrianNetwork(
        network=Network(inputs, groups, projections, monitors, name="network"),
        inputs=inputs,
        groups=tuple(groups),
        projections=tuple(projections),
        monitors=tuple(monitors),
    )


def neuron_group(model, neuron, size, **options):
    """Return a `NeuronGroup` of a model's neuron, as its detection fires it."""
    equations, threshold = neuron.equations, neuron.threshold
    if model.detect == "crossing":
        equations += neuron.crossing_equations
        threshold = neuron.threshold_crossing
    return NeuronGroup(
        size,
        equations,
        threshold=threshold,
        reset=neuron.reset,
        method=neuron.method,
        **{"namespace": neuron.namespace, **options},
    )


def kept_variables(group):
    """Return the names of what neurons carry from one step to the next, sorted.

    Brian2 starts each at 0, and so must every sample.
    """
    equations = group.equations
    constant = {
        name
        for name in equations.parameter_names
        if "constant" in equations[name].flags
    }
    return sorted(equations.diff_eq_names | equations.parameter_names - constant)


def _in_device_precision(namespace):
    # A double constant would make the compiler compare single potentials in double.
    real = prefs.core.default_float_dtype
    return {
        name: real(value) if isinstance(value, float) else value
        for name, value in namespace.items()
    }


def all_to_all(source, target, variable, layer):
    """Return `Synapses` with a weight `w` from each neuron of one layer to the next."""
    synapses = Synapses(
        source,
        target,
        f"w : {target.variables[variable].unit!r}",
        on_pre=f"{variable}_post += w",
        namespace={"hertz": Hz},
        name=f"projection{layer}",
    )
    synapses.connect()
    return synapses
