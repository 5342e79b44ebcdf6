"""The function that Ray runs on a node, before anything of this package is imported there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def remote_function() -> Any:
    """Return the function that Ray runs on a node. It is sent as code, so that a node can report another version."""

    def dropexp(fingerprint: str, references: list[Any], pace: float) -> Iterator[Any]:
        """Yield `Update`s, or the node's id and why it is unusable; nothing is unpacked where versions differ."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray is only partly typed
        try:
            from dropexp.training.cluster import worker

            version, same = f"{worker.fingerprint()}, {worker.__file__}", worker.fingerprint() == fingerprint
        except Exception as error:
            version, same = f"no dropexp that trains on Ray ({error})", False
        if not same:
            yield node, f"node {address} has {version}; this command is {fingerprint}: install the same on both"
            return
        try:
            shared, groups = ray.get(references)
            yield from worker.train(shared, groups, pace)
        except worker.NodeUnusable as error:
            yield node, f"node {address}: {error}"

    return dropexp
