"""How bytes arrive and leave: one module per platform."""
