"""A stand-in for the module that Colab's kernels have: what the series uses of it, and nothing else."""
