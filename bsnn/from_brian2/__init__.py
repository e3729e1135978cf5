"""A network of Brian2 objects, read and written: see `bsnn.Network.from_brian2`."""
