r"""Networks as graphs of NIR, the Neuromorphic Intermediate Representation, and back.

NIR describes neurons by equations in continuous time, and leaves to each library how to
solve them. Its neurons, and what `bsnn.equations.leaky` recognises by its algebra, are

    CubaLIF  tau_syn dI/dt = w_in S - I,  tau_mem dv/dt = v_leak - v + r I
    LIF      tau dv/dt = v_leak - v + r I     spike when v > v_threshold,  v = v_reset
    IF       dv/dt = r I                      as LIF
    CubaLI, LI, I                             as these, but never firing

A spike has no size in these equations until a time step is chosen. Libraries that read
NIR (norse, snnTorch, SpikingJelly, Spyx) let S be 1 for one time step, so that it adds
``w_in dt/tau_syn`` to I, or ``r dt/tau`` to the v of a LIF. So it is here. Times are in
seconds, voltages in the unit of the network's equations, in SI.

Of a network there is

- an ``Input``, and a neuron of the above, for each population,
- a ``Linear`` for each connection, with a weight matrix of shape (n_post, n_pre): the
  weights themselves, bit for bit. Whatever ``on_pre`` multiplies them by is in the
  neuron's w_in, or r. Pairs that a pattern leaves out have weight 0; a convolution is a
  ``Conv2d``, where no other connection leads to the same neurons,
- a ``Delay`` before it where the connection has one, of each neuron of the source,
- an ``Output`` after each population that drives no other.

In the metadata are the time step, the unit of weights and potentials, the texts of each
neuron, ``delta_v`` of a soft reset, and the network as bsnn's own JSON, by which
`from_nir` returns the same network. Other libraries need none of this, but differ where
NIR cannot say what is meant:

- a soft reset is to them a reset to ``v_threshold - delta_v``, where a neuron would be
  that has just crossed threshold;
- most follow forward Euler, and not the exact solution: give the neuron
  ``method="euler"`` to see what they will do;
- most let a spike act within the step in which it comes; here, as in Brian2, it acts on
  the potential in the next step. So each layer fires one step earlier there;
- a spike that reaches a LIF or IF in the step in which it fires is wiped out by a reset
  to v_reset here, as in Brian2, and counts there. A CubaLIF loses nothing.

Under forward Euler, norse 1.1 (hard and soft reset, also recurrent) and snnTorch 1.0
(hard) fire each spike of a network of CubaLIF, one step earlier a layer. Beside the
exact solution, at 1 ms and a tau_syn of 5 ms, norse fires a tenth more.

References
----------
Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from brian2.units import Quantity

from bsnn.errors import DataError
from bsnn.files import replacing
from bsnn.inputs.hdf5 import scan_apart
from bsnn.model import Model
from bsnn.network import Network

from .nir_export import graph_of, nir_library
from .nir_import import network_of
from .nir_restore import restored, with_times


class FromNIR(NamedTuple):
    """A network that was read.

    Parameters
    ----------
    network : Network
    weights : dict of str to ndarray
        Of each connection by its name, in SI units, as `DerivedNetwork` takes them.
    """

    network: Network
    weights: dict[str, np.ndarray]


def to_nir(network: Network | Model, weights: Mapping, *, refractory: str = "refuse"):
    """Return a network as a ``nir.NIRGraph``.

    Parameters
    ----------
    network : Network or Model
        A `Model` must have the rule "grid". It comes back as a `Network`.
    weights : dict of str to array_like or Quantity
        Of each connection by its name, shape (n_pre, n_post), or (n_weights,) of a
        pattern; of a `Model`, a sequence of those of its layers. Bare numbers are in SI
        units. Of a trained network ``{name: c.weight.detach() for name, c in
        net.connections.items()}``.
    refractory : {"refuse", "metadata"}
        What becomes of refractory periods, which NIR does not know: with "metadata"
        they are named there, and other libraries simulate the network without.

    Returns
    -------
    graph : nir.NIRGraph

    Raises
    ------
    BackendUnavailable
        If nir is not installed.
    TypeError
        If `network` or `weights` are of another kind.
    ValueError
        If NIR cannot say what a population or connection does; it is named.
    """
    return graph_of(network, weights, refractory=refractory)


def from_nir(
    graph, *, dt: Quantity | None = None, duration: Quantity | None = None
) -> FromNIR:
    """Return the network that a graph of NIR describes.

    A graph that `to_nir` made gives the same network and weights. One of another
    library is read by the equations above: spikes reset the potential to ``v_reset``,
    potentials begin at ``v_leak``, those of IF and I at 0, currents at 0. Equations
    are solved exactly; time constants that differ by less than one part in a thousand,
    by the method "rk4".

    Parameters
    ----------
    graph : nir.NIRGraph
    dt : Quantity, optional
        Time step, in which a spike counts as 1; needed of another library's graph. Of
        one of ours, the network is returned at this one.
    duration : Quantity, optional
        Of a sample; as `dt`.

    Returns
    -------
    read : FromNIR
        `network` and `weights`.

    Raises
    ------
    BackendUnavailable
        If nir is not installed.
    TypeError
        If `graph` is no ``nir.NIRGraph``.
    ValueError
        If the graph holds what a `Network` cannot do, by the name of its node, or its
        metadata describe another network than its nodes.
    """
    nir = nir_library()
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"'graph' must be a nir.NIRGraph, got {type(graph).__name__}.")
    found = restored(graph)
    if found is not None:
        network, weights = found
        return FromNIR(with_times(network, dt, duration), weights)
    for name, value in (("dt", dt), ("duration", duration)):
        if value is None:
            raise ValueError(
                f"'{name}' must be given for a graph that bsnn has not written, which "
                f"does not say it: from_nir(graph, dt=1*ms, duration=100*ms)."
            )
    return FromNIR(*network_of(graph, dt, duration))


def write_nir(
    path, network: Network | Model, weights: Mapping, *, refractory: str = "refuse"
) -> None:
    """Write a network to a file, usually called ``.nir``; else as `to_nir`.

    The file appears complete or not at all.

    Raises
    ------
    RunFolderError
        If it cannot be written.
    """
    nir = nir_library()
    graph = graph_of(network, weights, refractory=refractory)
    with replacing(Path(path), "w+b") as file:  # HDF5 reads what it wrote
        nir.write(file, graph)


def read_nir(
    path, *, dt: Quantity | None = None, duration: Quantity | None = None
) -> FromNIR:
    """Return the network in a file of NIR; else as `from_nir`.

    Nothing in the file is executed. It is read in a process of its own first, with
    bounds on memory and time.

    Raises
    ------
    DataError
        If the file is missing or damaged, or is none of NIR.
    """
    nir, path = nir_library(), Path(path)
    before = _version(path)
    scan_apart(path, "bsnn.interchange.nir_scan", extra="nir")
    try:
        graph = nir.read(path)
    except Exception as error:  # assertions, and whatever h5py and numpy raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path} must be a graph of NIR, but it cannot be read ({said}); export it "
            "again."
        ) from error
    if _version(path) != before:
        raise DataError(f"{path} has changed while it was read; read it again.")
    return from_nir(graph, dt=dt, duration=duration)


def _version(path):
    try:
        state = os.stat(path)
    except OSError as error:
        raise DataError(
            f"{path} must be a readable file, got: {error.strerror}."
        ) from error
    return state.st_size, state.st_mtime_ns
