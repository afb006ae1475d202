"""The keeper's loops: observe, decide, act, and nothing else."""
