"""Steps of the pool search, timed as runs take them: one candidate at eleven coefficients."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.inputs import ticket_of_a_fifth
from experiments.benchmarks.timing import samples
from experiments.gpu import steps
from experiments.gpu.rows import Case, by_importance, measure_all, quartiles
from experiments.gpu.sizes import LIMIT, ROUNDS, Size, random_setup
from experiments.lottery_pools.runs import search_images
from lpjax import train
from lpjax.run.pools import Search, build_method

SEARCHES = {
    "chunk": (1, 4, 11),
    "coarse_stride": (1, 3),
    "recalibrate": ("4096", "full"),
    "rank_by": ("recalibrated", "batch_statistics"),
}
"""Settings `pool.*` that are combined."""
CANDIDATES = 19 * 18
IMAGES = 45_000 * (182 + 18 * 173)
"""The paper's setting: 19 tickets with 18 candidates each, and the images that their training visits."""


def run(size: Size, out: Path, limit: float) -> None:
    """Measure the searches that `pool.csv` lacks, and the training step that they are compared with."""
    step = steps.cases(size)[0] | {"model": size.model}
    measure_all(out / "steps.csv", [step], partial(steps.measure, size), limit)
    about = {name: step[name] for name in ("device", "version", "model", "dtype", "batch")}
    cases = [about | case for case in by_importance(**SEARCHES)]
    measure_all(out / "pool.csv", cases[: size.searches], partial(measure, size), limit)


def measure(size: Size, case: Case) -> Mapping[str, Any]:
    """Time candidates of an anchor with a fifth of the weights."""
    settings = {f"pool.{name}": case[name] for name in SEARCHES}
    setup = random_setup(size, case, size.images - size.images // 10, **settings)
    anchor = ticket_of_a_fifth(setup.network.initialize(jax.random.key(0)), setup.network.prunable)
    candidate = setup.network.initialize(jax.random.key(1))
    method = build_method(setup, Search("interpolation"))
    state = method.init(anchor, jax.random.key(2), 0.5)
    state = train.replicate(state, setup.mesh)
    times = samples({"step": lambda: method.step(state, candidate)[1].values}, ROUNDS, LIMIT)["step"]
    return {"images": search_images(setup), **quartiles(times)}


def share_of_training(milliseconds: float, images_per_s: float) -> float:
    """Compute what all candidates of the paper's setting take, as a share of the training of its tickets.

    Example:
      >>> round(share_of_training(1000.0, 60_000.0), 3)
      0.138
    """
    return CANDIDATES * milliseconds / 1000 / (IMAGES / images_per_s)
