"""Runs that train together: one run alone, or several of equal shape as a stack. Each writes its own folder."""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data, noisy_labels, split
from dropexp.errors import RunError
from dropexp.nets import linreg
from dropexp.nets.from_scratch import MLP
from dropexp.nets.network_interface import Network
from dropexp.nets.schedules import LR_SCHEDULES
from dropexp.nets.stacked import Stack
from dropexp.runs.transitions import lock_unfinished
from dropexp.training.active_run import ActiveRun
from dropexp.training.checkpoint import CheckpointTimer
from dropexp.training.events import Ended, Event, Note
from dropexp.training.jobs import Job
from dropexp.training.loop import Part, Trainee, fit
from dropexp.training.rng import stream
from dropexp.training.trainees import NetworkTrainee, RegressionTrainee, Rows, StackTrainee


def train_group(
    jobs: Mapping[int, Job],
    data: Data | None,
    device: torch.device,
    *,
    stacked: bool = False,
    force: bool = False,
) -> Generator[Event]:
    """Train the jobs together, each from where it was interrupted, and yield what happens under the jobs' indexes.

    `stacked`: they are a stack, all of one `stack_shape`; otherwise there is one job. `data` may be None for a job that
    samples its own data. Without `force` a finished run is left as it is. A run that another process trains ends as
    busy. An error ends its run as failed. Closing the generator or KeyboardInterrupt marks started runs as interrupted.

    Runs of a stack that have not done equally many epochs, or do not fit into the device's memory together, train one
    stack after the other; an epoch that is trained again is yielded again.
    """
    with ExitStack() as locks:
        runs = []
        for index, job in jobs.items():
            if outcome := lock_unfinished(job.folder, job.planned, locks, force):
                yield from [Note(index, note) for note in outcome.notes]
                yield Ended(index, outcome.status, outcome.why)
            else:
                runs.append(ActiveRun(index, job, data, device, stacked=stacked, force=force))
        try:
            yield from _train(runs)
        except (KeyboardInterrupt, GeneratorExit):
            for run in runs:
                run.interrupt()
            raise


def _train(runs: Sequence[ActiveRun]) -> Generator[Event]:
    """Resume the runs, and train those with equally many epochs done together."""
    by_done: dict[int, list[ActiveRun]] = {}
    for run in runs:
        try:
            notes = run.resume()
        except Exception as error:
            yield run.fail(error)
            continue
        by_done.setdefault(run.done, []).append(run)
        yield from [Note(run.index, note) for note in notes]
    for done, group in by_done.items():
        yield from _train_within_memory(group, done)


def _train_within_memory(runs: Sequence[ActiveRun], done: int) -> Generator[Event]:
    """Train the runs; if the device's memory is too small for all, train one half after the other."""
    out_of_memory = False
    try:
        yield from _train_epochs(runs, done)
    except Exception as error:
        out_of_memory = _is_out_of_memory(error)  # the memory itself is free only after this clause
        if not out_of_memory:
            yield from [run.fail(error) for run in runs if not run.ended]
    left = [run for run in runs if not run.ended]
    if not out_of_memory or not left:
        return
    gc.collect()
    torch.cuda.empty_cache()
    if len(runs) == 1:
        why = f"the memory of {runs[0].device} is too small; a smaller batch_size or narrower layers need less"
        yield runs[0].fail_because(why)
        return
    for half in (left[: len(left) // 2], left[len(left) // 2 :]):
        yield from _train(half)


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether device memory ran out; libraries below torch report that only in the text of a RuntimeError."""
    in_text = isinstance(error, RuntimeError) and ("out of memory" in str(error) or "ALLOC_FAILED" in str(error))
    return in_text or isinstance(error, torch.OutOfMemoryError)


def _train_epochs(runs: Sequence[ActiveRun], done: int) -> Generator[Event]:
    for run in runs:
        try:
            notes = run.start(stack=len(runs))
        except (OSError, RunError) as error:
            yield run.fail(error)
            continue
        yield from [Note(run.index, note) for note in notes]
        if run.stops_early():
            yield run.finish()
    runs = [run for run in runs if not run.ended]
    if not runs:
        return
    config = runs[0].config
    timer, trainee = CheckpointTimer(), _trainee(runs)
    for records in fit(
        trainee,
        lrs=[run.config.lr for run in runs],
        epochs=config.epochs,
        lr_schedule=LR_SCHEDULES[config.lr_schedule],
        eval_every=config.eval_every,
        done=done,
        backend=runs[0].backend,
    ):
        epoch = records[0].epoch
        added = []
        for r, (run, record) in enumerate(zip(runs, records, strict=True)):
            if run.ended:
                continue
            try:
                added.append((run, record, run.add(record, trainee.test_outputs(r))))
            except OSError as error:  # a full disk, for example: the others continue
                yield run.fail(error)
        should_save = timer.should_save(epoch, config.epochs)  # for all runs at once, so that they resume as one stack
        with timer.saving() if should_save else nullcontext():
            for run, record, _ in added:
                if should_save or run.stops_early():
                    try:
                        run.save(record)
                    except OSError as error:
                        yield run.fail(error)
        for run, record, event in added:
            if run.ended:
                continue
            yield event
            if not record.finite:
                yield run.diverge(epoch)
            elif run.stops_early():
                yield run.finish()
        if all(run.ended for run in runs):
            return
    yield from [run.finish() for run in runs if not run.ended]


def _trainee(runs: Sequence[ActiveRun]) -> Trainee:
    """Return what the loop trains: a stack of the runs, or the only run."""
    run = runs[0]
    config, state = run.config, run.training_state
    if run.data is None:
        num_train = config.train_size or linreg.TRAIN_ROWS
        drawn = linreg.generate_data(stream(config.seed, "data"), num_train, config.validation_size)
        model = cast(linreg.Model, state.network)
        return RegressionTrainee(model, drawn, batch_size=config.batch_size, order=state.order, test=config.eval_test)
    if run.stacked:
        return _stack(runs, run.data)
    data = _split(run.data, config, _labels(run.data, config))
    train = data.X_train, data.y_train
    evaluated: dict[Part, Rows] = {}
    if config.eval_test:
        evaluated["test"] = data.X_test, data.y_test
    if config.eval_train:
        evaluated["train"] = train
    if data.X_val is not None and data.y_val is not None:
        evaluated["validation"] = data.X_val, data.y_val
    network = cast(Network, state.network)
    return NetworkTrainee(network, train, evaluated, batch_size=config.batch_size, order=state.order)


def _labels(data: Data, config: Config) -> Tensor:
    """Return the labels (n,) of all training rows as the run sees them: equal for equal seeds and `label_noise`."""
    if not config.label_noise:
        return data.y_train
    return noisy_labels(data.y_train, config.label_noise, stream(config.seed, "labels"))


def _split(data: Data, config: Config, labels: Tensor) -> Data:
    return split(data, config.train_size, config.validation_size, stream(config.seed, "split"), labels)


def _stack(runs: Sequence[ActiveRun], data: Data) -> Trainee:
    config = runs[0].config
    row_numbers = torch.arange(len(data.y_train), device=runs[0].device)
    numbered = replace(data, X_train=row_numbers)  # to split row numbers, not pixels
    labels = [_labels(data, run.config) for run in runs]
    splits = [_split(numbered, run.config, y) for run, y in zip(runs, labels, strict=True)]
    train = torch.stack([part.X_train for part in splits])
    held_out = [(part.X_val, part.y_val) for part in splits if part.X_val is not None and part.y_val is not None]
    validation = tuple(map(torch.stack, zip(*held_out, strict=True)))
    networks = [cast(MLP, run.training_state.network) for run in runs]
    return StackTrainee(
        Stack(networks, data.X_train, torch.stack(labels), train.shape[1], config.batch_size),
        train,
        (data.X_test, data.y_test) if config.eval_test else None,
        orders=[run.training_state.order for run in runs],
        validation=cast(Rows, validation) or None,
        clean=config.eval_train,
    )
