"""The mathematics: networks, noise and optimiser. Plain arguments, no config, no files.

It imports no other subpackage. Start with `scratch.py`, the reference implementation.
"""
