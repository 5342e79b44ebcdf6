"""Training and evaluation do not depend on the torch settings of the calling process, and leave them as they are."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.in_process import InProcess
from helpers.training import end_of, table
from helpers.weights import same, saved
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dropexp import train as library_train
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.nets import matmul
from dropexp.runs.folder import RunFolder
from dropexp.training.evaluate import Evaluation, evaluate
from dropexp.training.events import Epoch, Event
from dropexp.training.in_process import Trainer
from dropexp.training.jobs import Job, Plan
from dropexp.training.torch_settings import HOOKS, top_saved_hooks
from dropexp.training.trained_network import load_trained

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

Foreign = Callable[[], AbstractContextManager[Any]]


@contextmanager
def set_to(setter: Callable[[Any], object], value: Any, usual: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(usual)


class Negated(TorchFunctionMode):
    """Negates every matrix product."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **kwargs or {})
        return -result if function in (torch.mm, torch.matmul, nn.functional.linear) else result


class Forgetful(TorchDispatchMode):
    """Returns zeros instead of exponentials."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **kwargs or {})
        return torch.zeros_like(result) if "exp" in str(function) else result


# torch has no types for these
PRECISIONS: list[Any] = [torch.backends, torch.backends.mkldnn.matmul, torch.backends.cuda.matmul]  # type: ignore[attr-defined]


@contextmanager
def precision(setter: Callable[[], object]) -> Iterator[None]:
    """Change the precision of float32 matmuls; in the end restore it, also from states that torch cannot read."""
    before = [owner.fp32_precision for owner in PRECISIONS]
    setter()
    try:
        yield
    finally:
        for owner, value in zip(PRECISIONS, before, strict=True):
            owner.fp32_precision = value


def deterministic(warn_only: bool) -> Foreign:
    def setter(mode: bool) -> None:
        torch.use_deterministic_algorithms(mode, warn_only=mode and warn_only)

    return lambda: set_to(setter, True, False)


@contextmanager
def hooked(register: Callable[[Any], Any], hook: Callable[..., Any]) -> Iterator[None]:
    handle = register(hook)
    try:
        yield
    finally:
        handle.remove()


FOREIGN: dict[str, Foreign] = {
    "float64": lambda: set_to(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: set_to(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "tensor type": lambda: set_to(torch.set_default_tensor_type, torch.DoubleTensor, torch.FloatTensor),
    "default device": lambda: set_to(torch.set_default_device, "meta", None),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu"),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16, cache_enabled=False),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "seed": lambda: set_to(torch.manual_seed, 5, 0),
    "matmul precision": lambda: precision(lambda: torch.set_float32_matmul_precision("medium")),
    "oneDNN precision": lambda: precision(lambda: setattr(PRECISIONS[1], "fp32_precision", "bf16")),
    "precision": lambda: precision(lambda: setattr(torch.backends, "fp32_precision", "tf32")),
    "TF32": lambda: precision(lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True)),
    "cuDNN": lambda: torch.backends.cudnn.flags(enabled=False, deterministic=True, benchmark=True),
    "oneDNN off": lambda: torch.backends.mkldnn.flags(enabled=False),
    "deterministic": deterministic(warn_only=False),
    "deterministic, warn": deterministic(warn_only=True),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "denormals": lambda: set_to(torch.set_flush_denormal, True, False),
    "threads": lambda: set_to(torch.set_num_threads, 2, 1),
    "function mode": Negated,
    "dispatch mode": Forgetful,
    "forward hook": lambda: hooked(nn.modules.module.register_module_forward_hook, lambda *about: about[-1] + 1),
    "backward hook": lambda: hooked(
        nn.modules.module.register_module_full_backward_hook, lambda *about: tuple(2 * grad for grad in about[1])
    ),
    "optimiser hook": lambda: hooked(register_optimizer_step_pre_hook, lambda *about: about[0].zero_grad()),
    "module registration": lambda: hooked(
        nn.modules.module.register_module_module_registration_hook,
        lambda *about: nn.Identity() if isinstance(about[-1], nn.ReLU) else None,
    ),
    "parameter registration": lambda: hooked(
        nn.modules.module.register_module_parameter_registration_hook,
        lambda *about: None if about[-1] is None else nn.Parameter(about[-1].detach() + 1),
    ),
    "buffer registration": lambda: hooked(
        nn.modules.module.register_module_buffer_registration_hook,
        lambda *about: None if about[-1] is None else about[-1] + 1,
    ),
    "checkpoints without numbers": torch.serialization.skip_data,
    "checkpoints of another byte order": lambda: set_to(
        torch.serialization.set_default_load_endianness, torch.serialization.LoadEndianness.BIG, None
    ),
    "saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(lambda tensor: 2 * tensor, lambda tensor: tensor),
}
KEYS: list[dict[str, Any]] = [
    {"variant": "nn", "momentum": 0.9, "l1": 1e-5, "probes": ["activations"], "validation_size": 50},
    {"variant": "nn", "optimizer": "adam", "lr": 0.01, "input_noise_std": 0.1},
    {"variant": "scratch", "max_norm": 2.0, "probes": [{"mc": 2}]},
    {"variant": "none", "fused": False},
    {"variant": "dropconnect-per-example"},
    {"variant": "nn", "task": "linear-regression", "lr": 0.003, "batch_size": 5},
]
IMAGES = {"hidden": [32, 24], "batch_size": 200, "init": "torch", "lr": 0.1}


def planned(index: int) -> PlannedRun:
    keys = KEYS[index] if "task" in KEYS[index] else IMAGES | KEYS[index]
    return PlannedRun("study", None, f"run-{index}", Config.model_validate(keys | {"epochs": 2}))


def train(folder: Path, data: Data, planned: Sequence[PlannedRun]) -> Generator[Event]:
    jobs = {i: Job(run, RunFolder(folder / run.cell)) for i, run in enumerate(planned)}
    trainer = Trainer(Plan(None))
    trainer.data = data
    return trainer.events(jobs)


def settings_now() -> str:
    """Return what a program can see of the settings above."""
    one = torch.ones(1, 1, requires_grad=True)
    seen = [
        (one.dtype, one.device, (one @ one).dtype, (one * 2).requires_grad, one.is_inference()),
        ([owner.fp32_precision for owner in PRECISIONS], torch.backends.mkldnn.enabled),
        (torch.get_deterministic_debug_mode(), torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        (torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled(), torch.get_num_threads()),
        (torch.initial_seed(), torch.get_rng_state().tolist(), sys.float_info.min / 2),
        ([hooks.copy() for hooks in HOOKS], len(torch.overrides._get_current_function_mode_stack())),
        (torch.exp(one.detach()), top_saved_hooks(True)),
        (torch.serialization._serialization_tls.skip_data, torch.serialization.get_default_load_endianness()),
    ]
    return repr(seen)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Path:
    """A folder with the runs, trained under torch's own settings."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ordinary")
    list(train(folder, data, [planned(i) for i in range(len(KEYS))]))
    return folder


@pytest.mark.parametrize("setting", FOREIGN)
def test_a_run_under_a_foreign_setting_gives_the_same_tables_and_weights(
    setting: str, ordinary: Path, tmp_path: Path, data: Data
) -> None:
    matmul._best_backend.cache_clear()  # repeat its check under the setting
    runs = [planned(i) for i in range(len(KEYS))]
    with FOREIGN[setting]():
        events = list(train(tmp_path, data, runs))
    assert end_of(events).status == "done"
    for run in runs:
        assert table(tmp_path / run.cell) == table(ordinary / run.cell), run.config
        assert same(saved(tmp_path / run.cell), saved(ordinary / run.cell)), run.config


@pytest.mark.parametrize("setting", FOREIGN)
def test_the_callers_settings_are_back_at_each_event_and_after_the_last(
    setting: str, tmp_path: Path, data: Data
) -> None:
    with FOREIGN[setting]():
        before = settings_now()
        events = train(tmp_path, data, [planned(0), planned(5)])
        assert {settings_now() for _ in events} == {before}
        assert settings_now() == before


def test_settings_changed_between_two_events_stay_and_do_not_change_results(
    ordinary: Path, tmp_path: Path, data: Data
) -> None:
    with set_to(torch.set_default_dtype, torch.float32, torch.float32):
        for i, _ in enumerate(train(tmp_path, data, [planned(0)])):
            torch.set_default_dtype((torch.float64, torch.bfloat16)[i % 2])
            torch.manual_seed(i)
        assert torch.get_default_dtype() == (torch.float64, torch.bfloat16)[i % 2]
    assert table(tmp_path / "run-0") == table(ordinary / "run-0")


def test_a_default_dtype_of_the_caller_causes_no_warning(tmp_path: Path, data: Data) -> None:
    with set_to(torch.set_default_dtype, torch.float64, torch.float32), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert end_of(train(tmp_path, data, [planned(0)])).status == "done"


@pytest.mark.parametrize("how", ["closed", "interrupted", "failed"])
def test_the_callers_settings_are_back_after_a_training_that_does_not_end(
    how: str, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad(), torch.autocast("cpu"):
        before = settings_now()
        events = train(tmp_path, data, [planned(0)])
        next(event for event in events if isinstance(event, Epoch))
        if how == "closed":
            events.close()
        else:
            error = KeyboardInterrupt() if how == "interrupted" else RuntimeError("no")

            def stop(*arguments: Any) -> None:
                raise error

            monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", stop)
            with pytest.raises(KeyboardInterrupt) if how == "interrupted" else nullcontext():
                assert end_of(events).status == "failed"
        assert settings_now() == before
    assert RunFolder(tmp_path / "run-0").read_info().status == ("failed" if how == "failed" else "interrupted")


def test_a_run_that_diverges_while_anomalies_are_detected_diverges(tmp_path: Path, data: Data) -> None:
    run = replace(planned(0), config=Config.model_validate(IMAGES | {"variant": "nn", "lr": 1e30}))
    with torch.autograd.set_detect_anomaly(True):
        assert end_of(train(tmp_path, data, [run])).status == "diverged"


def test_bfloat16_inside_an_autocast_uses_the_current_weights(tmp_path: Path, data: Data) -> None:
    """A nested autocast keeps its copies of the weights, unless its cache is off."""
    try:
        matmul.require_bf16(torch.device("cpu"))
    except RuntimeError as error:
        pytest.skip(f"this processor does not multiply in bfloat16: {error}")
    keys = IMAGES | {"variant": "nn", "precision": "bf16", "epochs": 2}
    run = PlannedRun("study", None, "run", Config.model_validate(keys))
    list(train(tmp_path / "ordinary", data, [run]))
    with torch.autocast("cpu"):
        list(train(tmp_path / "nested", data, [run]))
    assert table(tmp_path / "nested" / "run") == table(tmp_path / "ordinary" / "run")


def evaluations(folder: Path, data: Data) -> list[Evaluation]:
    return [evaluate(load_trained(RunFolder(folder / f"run-{i}")), data, [30], 2, [0]) for i in (0, 2)]


@pytest.fixture(scope="module")
def ordinary_evaluations(ordinary: Path, data: Data) -> list[Evaluation]:
    """Return the figures under torch's own settings."""
    return evaluations(ordinary, data)


@pytest.mark.parametrize("setting", FOREIGN)
def test_an_evaluation_under_a_foreign_setting_gives_the_same_figures(
    setting: str, ordinary: Path, ordinary_evaluations: list[Evaluation], data: Data
) -> None:
    matmul._best_backend.cache_clear()
    with FOREIGN[setting]():
        before = settings_now()
        assert evaluations(ordinary, data) == ordinary_evaluations
        assert settings_now() == before


TINY = "variant: nn\ntrain_size: 1000\nepochs: 1\nhidden: [32]\ndrop_probs: [0.5]\neval_train: false\n"


def test_the_library_trains_inside_an_autocast_as_the_command_does(cli: InProcess) -> None:
    cli("train", "-c", cli.write("tiny.yaml", TINY), "--device", "cpu")
    data_dir = cli.environment["DROPEXP_DATA"]
    with torch.autocast("cpu"):
        options: dict[str, Any] = {"data_dir": data_dir, "device": "cpu"}
        list(library_train(cli.folder / "tiny.yaml", runs_dir=cli.folder / "library", **options))
    (one,), (other,) = (list((cli.folder / name).glob("tiny/seed=*")) for name in ("runs", "library"))
    assert one.name == other.name
    assert table(one) == table(other) and same(saved(one), saved(other))
