"""What networks are shown: data sets, their files, and how values become spikes."""
