"""Training steps of lpjax, timed in the loop that runs train in."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.timing import samples
from experiments.gpu.rows import Case, by_importance, measure_all, quartiles
from experiments.gpu.sizes import LIMIT, ROUNDS, Size, random_setup, speed, where
from lpjax import train
from lpjax.run.setup import masked_sgd


def cases(size: Size) -> list[dict[str, Any]]:
    """List what is measured, the most important first."""
    about = {**where(), "framework": "lpjax"}
    axes = {"model": size.models, "dtype": size.dtypes, "batch": size.batches, "steps_per_dispatch": size.dispatches}
    return [about | case for case in by_importance(**axes)]


def run(size: Size, out: Path, limit: float) -> None:
    """Measure the steps that `steps.csv` lacks, within a number of seconds."""
    measure_all(out / "steps.csv", cases(size), partial(measure, size), limit)


def measure(size: Size, case: Case) -> Mapping[str, Any]:
    """Time windows of steps in `train.fit`, each until its metrics are on the host, as after an epoch."""
    setup = random_setup(size, case, size.training, **{"train.steps_per_dispatch": case["steps_per_dispatch"]})
    optimizer = masked_sgd(setup, setup.network.mask)
    state = train.initial_state(setup.network.initialize(jax.random.key(0)), optimizer)
    stop = size.window * (ROUNDS + 1)
    events = train.fit(
        setup.training_step("step", optimizer),
        train.replicate(state, setup.mesh),
        setup.data.feed,
        jax.random.key(1),
        images=size.training,
        batch_size=case["batch"],
        stop=stop,
        yield_at=range(size.window, stop, size.window),
    )
    times = samples({"window": lambda: next(events).metrics}, ROUNDS, LIMIT)["window"]
    measured = quartiles(times, size.window)
    return measured | speed(setup, case["device"], measured["median_ms"])
