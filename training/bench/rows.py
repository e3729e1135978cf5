"""The rows of a report's table: a name, and what was measured as text."""

MIB = 2**20


def aligned(rows):
    """Return the rows as lines, the names in a column."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def head(setting, machine, versions, batch):
    """What is measured, on what, with what."""
    s, m = setting, machine
    sizes = "-".join(map(str, s["layers"]))
    yield (
        "network",
        f"{sizes}, {s['n_neurons']} neurons, {s['n_synapses']} synapses",
    )
    yield "time step", f"{s['dt_ms']:g} ms, {s['n_steps']} steps"
    yield (
        "batch",
        f"{batch} of {s['dataset']}, after "
        f"{s['warm_up_batches']} batches of training, seed {s['seed']}",
    )
    yield "precision", f"{s['precision']}, {s['workers']} workers"
    yield (
        "machine",
        f"{m['processor']}, {m['n_cores']} cores, load {m['load']:.1f} before",
    )
    yield "versions", ", ".join(f"{k} {v}" for k, v in versions.items())


def phase_rows(phases):
    """Each phase of a minibatch, and their sum."""
    for name, spread in phases.items():
        yield name, spread.text(1e3, "ms")
    total = sum(spread.median for spread in phases.values())
    yield "sum of the phases", f"{1e3 * total:9.3f} ms"


def peer_rows(peer, ours, first="layer 1"):
    """The speeds of a peer beside ours, or why there are none.

    Its spikes are those of the layers from the `first`.
    """
    name = peer["name"]
    if "error" in peer:
        first, *more = peer["error"].splitlines()
        # The last line of what a program wrote to stderr says why.
        yield name, f"{first} {more[-1]}" if more else first
        return
    for kind in ("forward", "training"):
        ratio = ours[kind].median / peer[kind].median
        speed = peer[kind].text(1, "samples/s", 0)
        yield f"{name} {kind}", f"{speed}  bsnn is {ratio:.1f} times as fast"
    yield (
        f"{name} {peer['version']}",
        f"{peer['peak_memory'] / MIB:9.0f} MiB, spikes per sample "
        f"{layers(peer['spikes'], first)}",
    )


def stock_rows(stock):
    """A call of stock Brian2 beside ours."""
    name = f"stock Brian2, {stock['n_samples']} a call"
    verdict = "equal spike by spike" if stock["equal"] else "NOT EQUAL"
    yield name, stock["call"].text(1e3, "ms")
    yield "  of it the program", stock["program"].text(1e3, "ms")
    yield "  bsnn, the same call", stock["bsnn_call"].text(1e3, "ms")
    yield "  ratio", f"{stock['ratio']:9.1f}"
    yield "  spikes, stock", layers(stock["spikes"], "layer 1")
    yield "  spikes, bsnn", f"{layers(stock['bsnn_spikes'], 'layer 1')}: {verdict}"
    yield "  build", f"{stock['build_seconds']:.1f} s"


def layers(spikes, first):
    """Return the spikes of each layer as a sum, and which layer is the first."""
    numbers = " + ".join(
        f"{count}" if isinstance(count, int) else f"{count:.1f}" for count in spikes
    )
    return f"{numbers} (from {first})"
