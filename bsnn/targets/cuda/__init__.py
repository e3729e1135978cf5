"""Programs in CUDA, by brian2cuda: samples of a batch side by side."""
