"""Inputs that nobody meant: `make test-fuzz`, and many more with `make torture`."""
