"""From a config to a finished run: networks, the loop, checkpoints, worker processes.

May import runs, config, data, nets. Start with `loop.py`, then `active_run.py`.
"""
