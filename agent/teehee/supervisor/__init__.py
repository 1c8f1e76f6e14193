"""Loads characters, strips their secrets into the vault, starts the three processes and keeps them up."""
