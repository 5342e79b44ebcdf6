"""Fashion-MNIST: downloaded, verified, decoded once, and mapped into memory by all processes.

It imports no other subpackage. Start with `fashion_mnist.py`.
"""
