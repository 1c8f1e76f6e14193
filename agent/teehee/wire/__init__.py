"""What vault, gate and mind say to each other: stdlib dataclasses and strict parsers."""
