from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.recovery import interrupt, train

from dropexp.data.fashion_mnist import Data
from dropexp.training import checkpoint


@pytest.fixture(scope="module")
def checkpoint_each_epoch() -> Iterator[None]:
    """Save a checkpoint after every epoch, however short; train on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "CHECKPOINT_SHARE", 1e9)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(checkpoint_each_epoch: None, tmp_path_factory: pytest.TempPathFactory, data: Data) -> Path:
    """A folder with a run that is finished, "done", and one that was interrupted after two epochs, "interrupted"."""
    root = tmp_path_factory.mktemp("trained")
    train(root / "done", data)
    interrupt(root / "interrupted", data, 2)
    return root
