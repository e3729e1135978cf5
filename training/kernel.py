"""The spike-time gradient of `bsnn.training.gradient` as native code for the CPU."""

import ctypes
from pathlib import Path

import numpy as np
import torch

from bsnn.builds import load_kernel
from bsnn.equations import cuba_lif

from .gradient import LayerGradient, check_layer

SOURCE = Path(__file__).parent / "native" / "gradient.cpp"
MAX_MODES = 8  # max_modes in SOURCE
_BAD_INDEX, _OUT_OF_MEMORY = 1, 2  # Status in SOURCE

_COUNTS = "n_samples n_pre n_post n_modes n_arrivals n_spikes".split()
_ARRIVALS = "pre_offset pre_neuron pre_time".split()
_CROSSINGS = "post_offset post_neuron crossing slope sent reset grad_sent".split()
_MODES = "tau synaptic_amplitude reset_amplitude".split()


class _Layer(ctypes.Structure):
    # Mirrors `Layer` in SOURCE.
    _fields_ = [
        *[(name, ctypes.c_int64) for name in _COUNTS],
        *[(name, ctypes.c_void_p) for name in _ARRIVALS + _CROSSINGS],
        *[(name, ctypes.POINTER(ctypes.c_double)) for name in _MODES],
        ("slope_min", ctypes.c_double),
        ("weight", ctypes.c_void_p),
        ("grad_weight", ctypes.c_void_p),
        ("grad_arrival", ctypes.c_void_p),
        ("n_clamped", ctypes.c_int64),
    ]


class _Crossings(ctypes.Structure):
    # Mirrors `Crossings` in SOURCE.
    _fields_ = [
        ("n_spikes", ctypes.c_int64),
        *[(name, ctypes.c_void_p) for name in ("v", "i_syn", "step")],
        *[(name, ctypes.c_double) for name in ("dt", "v_threshold", "tau_mem")],
        *[(name, ctypes.c_void_p) for name in ("time", "slope")],
    ]


def can_recover(neuron):
    """Return whether `recover_crossings` knows the neuron's closed form."""
    p = neuron.parameters
    return tuple(neuron.state) == ("v", "i_syn") and cuba_lif.is_quadratic(
        p["tau_mem"], p["tau_syn"]
    )


def recover_crossings(record, neuron, *, n_threads=1):
    """Return when recorded spikes crossed threshold, and how steeply.

    As ``neuron.crossing`` does, always in double precision.

    Parameters
    ----------
    record : Spikes
        With the state of the end of the bin.
    neuron : CubaLIF
        For which `can_recover`.
    n_threads : int

    Returns
    -------
    time : ndarray, shape (n_spikes,), float64
        Seconds from the start of the sample.
    slope : ndarray, shape (n_spikes,), float64
        Hz.
    """
    v, i_syn = map(np.ascontiguousarray, record.state.values())
    step = np.ascontiguousarray(record.step, np.int64)
    time, slope = np.empty(len(step)), np.empty(len(step))
    spikes = _Crossings(
        n_spikes=len(step),
        v=v.ctypes.data,
        i_syn=i_syn.ctypes.data,
        step=step.ctypes.data,
        dt=record.dt,
        v_threshold=neuron.parameters["v_threshold"],
        tau_mem=neuron.parameters["tau_mem"],
        time=time.ctypes.data,
        slope=slope.ctypes.data,
    )
    library = load_kernel(SOURCE)
    single = v.dtype == np.float32
    run = library.crossings_float if single else library.crossings_double
    run(ctypes.byref(spikes), ctypes.c_int64(n_threads))
    return time, slope


def layer_gradient(
    pre,
    post,
    grad_sent,
    weight,
    modes,
    *,
    slope_min,
    need_pre=True,
    out=None,
    n_threads=1,
):
    """Return the gradient of one layer as `bsnn.training.gradient` defines it.

    Bit for bit the same for every number of threads. Sums are taken in another order
    than there, which changes them by rounding.

    Parameters
    ----------
    pre, post, grad_sent, weight, modes, slope_min, need_pre, out
        As for `bsnn.training.gradient.layer_gradient`, on the CPU, with contiguous
        `out` and at most `MAX_MODES` modes.
    n_threads : int

    Returns
    -------
    LayerGradient

    Raises
    ------
    ValueError
        If the arguments do not fit together or an index is out of range.
    BackendUnavailable, BuildError
        If the kernel is not in the cache and cannot be compiled.
    """
    check_layer(pre, post, grad_sent, weight, slope_min, out)
    if weight.device.type != "cpu" or not 1 <= len(modes.tau) <= MAX_MODES:
        raise ValueError(
            f"the native gradient takes CPU tensors and 1 to {MAX_MODES} modes, got "
            f"{weight.device.type} and {len(modes.tau)}; "
            "use bsnn.training.gradient.layer_gradient."
        )
    if out is None:
        out = torch.empty(weight.shape, dtype=weight.dtype)
    elif not out.is_contiguous():
        raise ValueError("'out' must be contiguous, got another memory layout.")
    real, whole, index = torch.float64, torch.int64, torch.int32
    tensors = {
        "pre_offset": _packed(pre.offset, whole),
        "pre_neuron": _packed(pre.neuron, index),
        "pre_time": _packed(pre.time, real),
        "post_offset": _packed(post.offset, whole),
        "post_neuron": _packed(post.neuron, index),
        "crossing": _packed(post.time, real),
        "slope": _packed(post.slope, real),
        "sent": _packed(post.sent, real),
        "reset": _packed(post.reset, real),
        "grad_sent": _packed(grad_sent, real),
        "weight": _packed(weight, weight.dtype),
        "grad_weight": out,
    }
    if need_pre:
        tensors["grad_arrival"] = torch.empty(pre.time.shape, dtype=real)
    vector = ctypes.c_double * len(modes.tau)
    layer = _Layer(
        n_samples=len(pre.offset) - 1,
        n_pre=weight.shape[0],
        n_post=weight.shape[1],
        n_modes=len(modes.tau),
        n_arrivals=len(pre.time),
        n_spikes=len(post.time),
        tau=vector(*modes.tau),
        synaptic_amplitude=vector(*modes.synaptic),
        reset_amplitude=vector(*modes.reset),
        slope_min=slope_min,
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
    )
    library = load_kernel(SOURCE)
    single = weight.dtype == torch.float32
    run = library.layer_gradient_float if single else library.layer_gradient_double
    status = run(ctypes.byref(layer), ctypes.c_int64(n_threads))
    if status == _BAD_INDEX:
        raise ValueError(
            "'pre' and 'post' must have offsets that rise from 0 to their number of "
            f"spikes, and neurons below the {tuple(weight.shape)} of 'weight'; "
            "at least one is wrong."
        )
    if status == _OUT_OF_MEMORY:
        raise MemoryError("no memory left for the native gradient.")
    return LayerGradient(out, tensors.get("grad_arrival"), layer.n_clamped)


def _packed(tensor, dtype):
    if tensor.dtype == dtype and tensor.is_contiguous():
        return tensor
    return tensor.to(dtype).contiguous()
