"""A ``NeuronGroup`` as a population: its texts, its constants, its present state."""

import numpy as np
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.core.preferences import prefs
from brian2.input.timedarray import TimedArray
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.units import Quantity, second
from brian2.units.fundamentalunits import get_unit

from bsnn.equations.dimensions import PERIOD, unit_name
from bsnn.equations.neuron import Neuron
from bsnn.equations.texts import split_statements

from .names import constants, looked_up, names_outside, plain_text, with_dimension
from .refusal import naming, refusal

_LAST_SPIKE = -1e4  # seconds; of a neuron that has not fired, to Brian2


def neuron_of(group, namespace, driven):
    """Return the `Neuron` that a group consists of, and its currents.

    A parameter that neither a reset nor a synapse changes is constant.

    Parameters
    ----------
    group : NeuronGroup
    namespace : Mapping
        Of the run.
    driven : set of str
        Variables that synapses add to.

    Returns
    -------
    neuron : Neuron
    currents : dict of str to TimedArray

    Raises
    ------
    TypeError, ValueError
        If it cannot be taken over.
    """
    _check(group)
    refractory = group._refractory
    if not isinstance(refractory, Quantity):
        refractory = None if refractory is False else plain_text(refractory)
    threshold = plain_text(group.events.get("spike"))
    reset = plain_text(group.event_codes.get("spike", ""))
    texts = [plain_text(e.expr) for e in _equations(group) if e.expr is not None]
    texts += [t for t in (threshold, reset, refractory) if isinstance(t, str)]
    found = looked_up(group, names_outside(group, texts), namespace)
    timed = {n: f for n, f in found.items() if isinstance(f, TimedArray)}
    for name, array in timed.items():
        _check_timed(group, name, array)
    changed = {name for name, _ in split_statements(reset, "reset")} | driven
    fixed = {
        e.varname
        for e in _equations(group)
        if e.type == "parameter" and e.varname not in changed
    }
    states = states_of(group) - fixed
    with naming(group):
        neuron = Neuron(
            "\n".join(_line(e, fixed) for e in _equations(group)),
            threshold=threshold,
            reset=None if threshold is None else reset,
            refractory=refractory,
            method=_method(group, namespace),
            parameters=constants(group, found.keys() - timed.keys(), namespace)
            | {name: present(group, name) for name in fixed},
            initial={name: present(group, name) for name in states},
            currents={name: get_unit(array.dim) for name, array in timed.items()},
        )
    return neuron, timed


def present(group, name):
    """Return a variable's values: one if all neurons have the same, else all."""
    variable = group.variables[name]
    values = np.array(variable.get_value(), float).reshape(-1)
    if (values == values[0]).all():
        values = values[0]
    return with_dimension(values, variable.dim)


def put_parameter(group, name, value):
    """Set a parameter where a group has it: in itself, or else in its own namespace."""
    if name == PERIOD:
        group._refractory = value
    elif name in group.variables:
        group.variables[name].set_value(np.asarray(value))
    else:
        group.namespace = {**group.namespace, name: value}


def sampled(group, array, dt, n_steps):
    """Return a ``TimedArray`` in each step, shape (n_steps, n_neurons or 1), in SI."""
    times = np.arange(n_steps)[:, None] * dt
    value = array.implementations[NumpyCodeObject].get_code(group)
    if array.values.ndim == 1:
        return value(times)
    return value(times, np.arange(group.N)[None, :])


def _equations(group):
    return group.user_equations.values()


def states_of(group):
    """Return the names of what is integrated or declared."""
    kinds = "differential equation", "parameter"
    return {e.varname for e in _equations(group) if e.type in kinds}


def _line(equation, fixed):
    left = equation.varname
    if equation.type == "differential equation":
        left = f"d{left}/dt"
    if equation.expr is not None:
        left = f"{left} = {plain_text(equation.expr)}"
    flags = list(equation.flags)
    if equation.varname in fixed and "constant" not in flags:
        flags.append("constant")
    listed = f" ({', '.join(flags)})" if flags else ""
    return f"{left} : {unit_name(equation.dim)}{listed}"


def _check(group):
    for equation in _equations(group):
        if equation.var_type != "float" or "linked" in equation.flags:
            kind = "linked" if "linked" in equation.flags else equation.var_type
            raise refusal(
                group,
                f"{equation.varname!r} is {kind}; declare it as a number of its own, "
                f"'{equation.varname} : 1 (constant)'.",
            )
    if group._refractory is not False:
        if prefs.legacy.refractory_timing:
            raise refusal(
                group,
                "prefs.legacy.refractory_timing is set, and its rounding of refractory "
                "periods is not supported; leave it out.",
            )
        last = group.variables["lastspike"].get_value()
        if (
            not group.variables["not_refractory"].get_value().all()
            or (last != _LAST_SPIKE).any()
        ):
            raise refusal(
                group,
                "'lastspike' or 'not_refractory' has been set; a sample begins with "
                "neurons that have never fired.",
            )


def _check_timed(group, name, array):
    if not array.is_locally_constant(group.clock.dt_):
        raise refusal(
            group,
            f"the dt of the TimedArray {name!r}, {array.dt * second!s}, is no whole "
            f"multiple of its own, {group.clock.dt!s}; make it one.",
        )
    if array.values.ndim == 2 and array.values.shape[1] < group.N:
        raise refusal(
            group,
            f"the TimedArray {name!r} has {array.values.shape[1]} columns for "
            f"{group.N} neurons.",
        )


def _method(group, namespace):
    """Return the name of the method that Brian2 takes."""
    choice = group.state_updater.method_choice
    if group.state_updater.method_options:
        raise refusal(group, "'method_options' are not supported; leave them out.")
    tried = [choice] if isinstance(choice, str) or callable(choice) else list(choice)
    for method in tried:
        if not isinstance(method, str):
            raise refusal(
                group, f"its method is {method!r}; give the name of one of Brian2's."
            )
    if len(tried) == 1:
        return tried[0].lower()
    equations = group.equations
    names = {*equations.names, *equations.identifiers, "dt"}
    variables = group.resolve_all(names, namespace, user_identifiers=())
    for method in tried:
        try:
            StateUpdateMethod.apply_stateupdater(equations, variables, method)
        except UnsupportedEquationsException:
            continue
        return method.lower()
    raise refusal(group, f"none of its methods fits the equations: {tried}.")
