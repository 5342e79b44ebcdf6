"""Runs of equal shape, whole, as one stack: each from its config to its own run folder, as `experiment.py` has it."""

from __future__ import annotations

import gc
from collections.abc import Generator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import cast

import torch

from dropexp.config.study import PlannedRun
from dropexp.data.fashion_mnist import Data, split
from dropexp.nets.schedules import LR_SCHEDULES
from dropexp.nets.scratch import MLP
from dropexp.nets.stacked import Stack
from dropexp.runs.folder import Row, RunFolder
from dropexp.runs.holding import Outcome, hold
from dropexp.training.checkpoint import Checkpoints
from dropexp.training.loop import fit_stack
from dropexp.training.rng import stream
from dropexp.training.run import Run, diverged


def train_stack(
    planned: Sequence[PlannedRun],
    folders: Sequence[RunFolder],
    data: Data,
    device: torch.device,
    *,
    force: bool = False,
) -> Generator[tuple[int, Row | str | Outcome]]:
    """Train runs of one `variants.shape` side by side, each into its own folder, from where it could go on alone.

    Yields a run's place in the lists with each new row of its table and, at last, with how it ended: "busy" if another
    process trains it, else as `train_run`. Runs that are not equally far train as several stacks, and so do those that
    need more memory together than there is; a row is then yielded again if it is trained again.
    """
    with ExitStack() as held:
        places: dict[Run, int] = {}
        for place, (plan, folder) in enumerate(zip(planned, folders, strict=True)):
            if ended := hold(plan, folder, held, force):
                yield place, ended
            else:
                places[Run(plan, folder, data, device, stacked=True, force=force)] = place
        try:
            for run, news in _train_together(list(places)):
                yield places[run], news
        except (KeyboardInterrupt, GeneratorExit):
            for run in places:
                run.interrupt()
            raise


def _train_together(runs: Sequence[Run]) -> Generator[tuple[Run, Row | str | Outcome]]:
    """Those that have done equally many epochs as one stack, or as two where memory does not do for one."""
    by_done: dict[int, list[Run]] = {}
    for run in runs:
        try:
            by_done.setdefault(run.resume(), []).append(run)
            yield from [(run, note) for note in run.notes]
        except Exception as error:
            yield run, run.fail(error)
    for done, stacked in by_done.items():
        too_many = False
        try:
            yield from _train_stacked(stacked, done)
        except Exception as error:
            too_many = _out_of_memory(error)  # the stack's memory is free once this clause is left
            if not too_many:
                yield from [(run, run.fail(error)) for run in stacked if run.going]
        left = [run for run in stacked if run.going]
        if too_many and left:
            gc.collect()
            torch.cuda.empty_cache()
            if len(stacked) == 1:
                why = f"the memory of {left[0].device} does not do; a smaller batch_size or narrower layers need less"
                yield left[0], left[0].end(Outcome("failed", why))
            else:
                for part in (left[: len(left) // 2], left[len(left) // 2 :]):
                    yield from _train_together(part)


def _out_of_memory(error: Exception) -> bool:
    """Whether the device's memory gave out, which libraries below torch say in words only."""
    told = isinstance(error, RuntimeError) and ("out of memory" in str(error) or "ALLOC_FAILED" in str(error))
    return told or isinstance(error, torch.OutOfMemoryError)


def _train_stacked(runs: Sequence[Run], done: int) -> Generator[tuple[Run, Row | Outcome]]:
    for run in runs:
        run.begin(stack=len(runs))
        if run.stops():
            yield run, run.end(Outcome("done"))
    runs = [run for run in runs if run.going]
    if not runs:
        return
    config, data, device = runs[0].planned.config, cast(Data, runs[0].data), runs[0].device
    numbered = replace(data, X_train=torch.arange(len(data.y_train), device=device))  # rows to split, not their pixels
    seeds = [run.planned.config.seed for run in runs]
    splits = [split(numbered, config.train_size, config.validation_size, stream(seed, "split")) for seed in seeds]
    train = torch.stack([part.X_train for part in splits])
    held_out = [part.X_val for part in splits if part.X_val is not None]
    stack = Stack(
        [cast(MLP, run.state.network) for run in runs],  # as `variants.page` built them
        data.X_train,
        data.y_train,
        train.shape[1],
        config.batch_size,
    )
    checkpoints = Checkpoints()
    for records in fit_stack(
        stack,
        train,
        (data.X_test, data.y_test),
        lrs=[run.planned.config.lr for run in runs],
        lr_schedule=LR_SCHEDULES[config.lr_schedule],
        epochs=config.epochs,
        orders=[run.state.order for run in runs],
        validation=torch.stack(held_out) if held_out else None,
        clean=config.eval_train,
        done=done,
    ):
        stack.write_back()
        done += 1
        due = checkpoints.due(done, config.epochs)  # for all of them: they are to go on as one stack
        with checkpoints.writing() if due else nullcontext():
            for run, record in zip(runs, records, strict=True):
                if not run.going or record is None:
                    continue
                try:
                    row = run.keep(record)
                    if due or run.stops():
                        run.save(record)
                except OSError as error:  # a full disk, say: the others go on
                    yield run, run.fail(error)
                    continue
                yield run, row
                if not record.finite:
                    yield run, run.end(diverged(record))
                elif run.stops():
                    yield run, run.end(Outcome("done"))
        if not any(run.going for run in runs):
            return
    yield from [(run, run.end(Outcome("done"))) for run in runs if run.going]
