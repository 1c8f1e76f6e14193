"""The weights of the local model: which file they are, whether it is here and whole, and how it gets here."""
