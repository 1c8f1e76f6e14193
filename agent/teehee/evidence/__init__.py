"""What is true of a wire format: one file per format, pure functions, no I/O."""
