"""Time epochs, whole processes and many runs of dropexp and of its peers: `make bench-peers`.

Each peer is a script, written as its documentation recommends, and runs in its own process. The scripts read the data
from `data.py` and train when `turns.py` yields a turn. Only those that measure dropexp import it, because importing it
sets environment variables that torch reads.
"""
