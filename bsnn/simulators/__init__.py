"""Whatever runs a model on a batch of inputs with given weights."""
