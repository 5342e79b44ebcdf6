"""Ray nodes on this machine, bound to 127.0.0.1: a process that ends them when its input ends.

It reads lines of JSON, {"start": {environment variables}, "cpus": 1} or {"kill": index}, and answers each with one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20, "include_dashboard": False}


def main() -> None:
    cluster, nodes = Cluster(), []
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            if "start" in asked:
                nodes.append(cluster.add_node(**NODE, num_cpus=asked.get("cpus", 1), env_vars=asked["start"]))
            else:
                cluster.remove_node(nodes[asked["kill"]], allow_graceful=False)
            print(json.dumps({"address": cluster.address, "nodes": len(nodes)}), flush=True)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray has types for a part of itself


if __name__ == "__main__":
    main()
