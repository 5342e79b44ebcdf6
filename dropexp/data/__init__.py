"""What is trained on: Fashion-MNIST, downloaded, verified, decoded once and mapped by all processes.

It imports no other subpackage. Start with `fashion_mnist.py`.
"""
