"""Backups: all stores of a data folder as of one moment, in one sealed file, and the way back."""
