"""Fashion-MNIST: download, verification, decoding.

It imports no other subpackage. Start with `fashion_mnist.py`.
"""
