"""Malformed and unexpected inputs: `make test-fuzz`, and many more with `make torture`."""
