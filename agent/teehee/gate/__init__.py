"""The gate: the only process with a network. It carries; it does not decide."""
