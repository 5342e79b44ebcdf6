"""Connect to a Ray cluster, and find its processors and GPUs. Ray is imported only to connect."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from dropexp.errors import ClusterError

CONNECT_SECONDS = 5.0  # to wait for an address

_RAY = {  # Ray's own settings, unless the environment has them
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage reports
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about a later version
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # the default retries for a quarter of an hour when a cluster is gone
}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect this process to the Ray cluster at `auto` or HOST:PORT until the block ends. Raises `ClusterError`."""
    host, colon, port = address.rpartition(":")
    if address != "auto" and not (colon and host and "/" not in host and port.isdecimal()):
        raise ClusterError(f"--ray {address!r} is not an address; use auto, or HOST:PORT as `ray start` prints it")
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"Ray is not installed ({error}); pip install 'dropexp[ray]'") from None
    before = signal.getsignal(signal.SIGTERM)  # None if it was not installed from Python
    try:
        if address != "auto":  # Ray itself would try for much longer
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        start = "`ray start --head` starts one; the command runs on one of its nodes"
        raise ClusterError(f"no Ray cluster at {address} to connect to: {error}\n{start}") from None
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray has installed its own, as only the main thread can
    try:
        yield
    finally:
        ray.shutdown()


def resolve(device: str) -> str:
    """Return the device that "auto" means on the cluster: its GPUs, otherwise its processors. Raises `ClusterError`."""
    if device not in ("auto", "cpu", "cuda"):
        raise ClusterError(f"device {device!r} is not one of auto, cpu, cuda; Ray assigns a GPU to each run")
    gpus, cpus = amount("GPU"), amount("CPU")
    if cpus < 1 or (device == "cuda" and not gpus):
        raise ClusterError(f"the cluster has {cpus:g} CPUs and {gpus:g} GPUs, too few to train on {device}")
    return device if device != "auto" else "cuda" if gpus else "cpu"


def amount(resource: str, excluded: Collection[str] = ()) -> float:
    """Return how many CPUs or GPUs the living nodes have together, without those in `excluded`."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray is only partly typed
    living = [one for one in nodes if one["Alive"] and one["NodeID"] not in excluded]
    return float(sum(one["Resources"].get(resource, 0) for one in living))
