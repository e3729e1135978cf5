"""What the libraries that are made of torch modules share."""

import torch


def in_torch(case, layer, scale):
    """Return what `make` must, for a library whose layers are torch modules.

    Parameters
    ----------
    case : Case
    layer : callable
        ``layer(threshold)`` returns a function of the input currents of a layer, by
        step, that returns its spikes.
    scale : float
        What the library multiplies weights in Hz with.
    """
    torch.set_num_threads(case.n_threads)
    weights = [
        torch.nn.Parameter(
            torch.tensor(scale * w, dtype=torch.float32, device=case.device)
        )
        for w in case.weights
    ]
    layers = [layer(threshold) for threshold in case.v_threshold]
    inputs, targets = (
        torch.from_numpy(array).to(case.device) for array in (case.inputs, case.targets)
    )
    optimizer = torch.optim.Adam(weights, lr=case.learning_rate * scale, fused=True)

    def network():
        spikes, recorded = inputs, []
        for weight, run in zip(weights, layers, strict=True):
            spikes = run(spikes @ weight)
            recorded.append(spikes)
        return recorded

    def forward():
        with torch.no_grad():
            return [int(spikes.sum()) for spikes in network()]

    def step():
        error = network()[-1].sum(0) - targets
        optimizer.zero_grad()
        (0.5 * (error**2).sum() / len(targets)).backward()
        optimizer.step()
        if inputs.is_cuda:
            torch.cuda.synchronize()

    return forward, step
