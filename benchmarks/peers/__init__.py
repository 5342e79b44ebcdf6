"""Epochs, whole processes and many runs of dropexp beside its peers, timed in turn in one run: `make bench-peers`.

One script per peer, each in its best ordinary form and a process of its own. They read the data from `data.py` and are
asked for epochs through `turns.py`; none but ours imports dropexp, which sets variables that torch heeds.
"""
