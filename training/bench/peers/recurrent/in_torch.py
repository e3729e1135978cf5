"""What the libraries that are made of torch modules share."""

import torch


def in_torch(case, begin, scale):
    """Return what `make` must, for a library whose neurons are torch modules.

    Parameters
    ----------
    case : Case
    begin : callable
        ``begin()`` puts the neurons to rest and returns a function of their input
        currents in a step that returns their spikes.
    scale : float
        What the library multiplies weights of the hidden population with.
    """
    torch.set_num_threads(case.n_threads)
    scales = (scale, scale, 1.0)
    weights = [
        torch.nn.Parameter(torch.tensor(s * w, dtype=torch.float32))
        for s, w in zip(scales, case.weights, strict=True)
    ]
    inputs, labels, response = map(
        torch.from_numpy, (case.inputs, case.labels, case.response)
    )
    optimizer = torch.optim.Adam(weights, lr=case.learning_rate * scale, fused=True)

    def network():
        entering, recurrent, leaving = weights
        step, recorded = begin(), []
        spikes = inputs.new_zeros(inputs.shape[1], len(recurrent))
        for current in inputs @ entering:
            spikes = step(torch.addmm(current, spikes, recurrent))
            recorded.append(spikes)
        hidden = torch.stack(recorded)
        return hidden, torch.tensordot(response, hidden @ leaving, 1)

    def forward():
        with torch.no_grad():
            return [int(network()[0].sum())]

    def train():
        score = network()[1].amax(0)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(score, labels).backward()
        optimizer.step()

    return forward, train
