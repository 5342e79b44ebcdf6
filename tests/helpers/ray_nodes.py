"""Start and kill Ray nodes on this machine, bound to 127.0.0.1; shut all down at the end of the input.

The input is lines of JSON, {"start": {environment variables}, "cpus": 1} or {"kill": index}. A line of JSON with the
address of the cluster is printed for each.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 100 * 2**20,
    **dict.fromkeys(("include_dashboard", "include_log_monitor"), False),  # processes that no test needs
    "no_monitor": True,
}


def main() -> None:
    cluster, nodes = Cluster(), []
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if "start" in request:
                nodes.append(cluster.add_node(**NODE, num_cpus=request.get("cpus", 1), env_vars=request["start"]))
            else:
                cluster.remove_node(nodes[request["kill"]], allow_graceful=False)
            print(json.dumps({"address": cluster.address, "nodes": len(nodes)}), flush=True)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray is only partly typed


if __name__ == "__main__":
    main()
