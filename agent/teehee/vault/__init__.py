"""The vault: the only process with keys. It decides what may leave, writes it down first, and signs."""
