"""The mathematics: networks, noise and optimiser. Plain arguments, no config, no files.

It imports no other subpackage. Start with `from_scratch.py`, the reference implementation.
"""
