"""Everything that runs a network over images: evaluation, re-estimation, recovery, training."""
