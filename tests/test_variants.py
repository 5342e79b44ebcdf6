"""What the table of variants builds is what the config asks for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dropexp.config import Config
from dropexp.streams import stream
from dropexp.variants import Network, build


def built(**keys: Any) -> Network:
    config = Config.model_validate({"init": "torch", "drop_probs": [0, 0], **keys})
    return build(config, stream(0, "init"), stream(0, "noise"))


@pytest.mark.parametrize("noise_at_eval", [False, True])
@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_a_run_in_bf16_trains_and_evaluates_in_bf16(
    variant: str, noise_at_eval: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)  # or emulated
    X, y = torch.rand(256, 784), torch.randint(10, (256,))
    nets = [
        built(variant=variant, precision=precision, noise_at_eval=noise_at_eval) for precision in ("float32", "bf16")
    ]
    for outputs in ([net.step(X, y, 0.1) for net in nets], [net.logits(X) for net in nets]):
        difference = (outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max()
        assert 1e-4 < difference < 0.1
        assert outputs[1].dtype == torch.float32
