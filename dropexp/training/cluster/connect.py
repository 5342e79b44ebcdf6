"""A Ray cluster: connecting to it, and what it has to train on. Ray is imported when it is connected to."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from dropexp.errors import ClusterError

PATIENCE = 5.0  # seconds for an address to answer

_RAY = {  # Ray's own settings, unless somebody has made them
    "RAY_USAGE_STATS_ENABLED": "0",  # it tells nobody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # it does not warn of what a later version will do
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # not a quarter of an hour for a cluster that is gone
}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Within it this process is a driver of the Ray cluster at `auto` or HOST:PORT. Raises `ClusterError`."""
    host, colon, port = address.rpartition(":")
    if address != "auto" and not (colon and host and "/" not in host and port.isdecimal()):
        raise ClusterError(f"--ray {address!r} is no address: it is auto or HOST:PORT, as `ray start` prints it")
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"Ray is not installed ({error}); pip install 'dropexp[ray]'") from None
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address != "auto":  # Ray itself would try for longer than anybody waits
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        start = "`ray start --head` starts one; the command runs on one of its nodes"
        raise ClusterError(f"no Ray cluster at {address} to connect to: {error}\n{start}") from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray has set its own
    try:
        yield
    finally:
        ray.shutdown()


def resolve(device: str) -> str:
    """The device that "auto" stands for on the cluster: its GPUs, else its processors. Raises `ClusterError`."""
    if device not in ("auto", "cpu", "cuda"):
        raise ClusterError(f"device {device!r} is none of auto, cpu, cuda: Ray says which GPU a run gets")
    gpus, cpus = amount("GPU"), amount("CPU")
    if cpus < 1 or (device == "cuda" and not gpus):
        raise ClusterError(f"the cluster has {cpus:g} CPUs and {gpus:g} GPUs, too few to train on {device}")
    return device if device != "auto" else "cuda" if gpus else "cpu"


def amount(resource: str, refused: Collection[str] = ()) -> float:
    """How much of it, CPU or GPU, the living nodes have together, but for those that refused."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray has types for a part of itself
    living = [one for one in nodes if one["Alive"] and one["NodeID"] not in refused]
    return float(sum(one["Resources"].get(resource, 0) for one in living))
