"""Train a small transformer on characters: dense, sparse, as lottery tickets, and as pools of them.

Command: python -m experiments.char_lm
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pandas as pd
from flax import nnx

import lpjax
from experiments import markdown
from experiments.char_lm.model import Transformer
from experiments.char_lm.text import Text, load, windows
from experiments.keeping import replace_between
from lpjax.command import OneLineParser, remember_compilations
from lpjax.store import environment

PyTree = Any
FOLDER = Path(__file__).parent
CONTEXT = 64
BATCH = 8
DENSITIES = (0.5, 0.2, 0.1)
PRUNE_FRACTIONS = (0.5, 0.6, 0.5)
"""Of the weights that the level before has kept: these lead to the densities above."""

METHODS = ("dense", "dense, rewound", "dense, continued", "RigL", "GMP", "IMP", "LRR", "pool of IMP")
"""The lines of the table."""


class Problem:
    """A text and a network, as pure functions of its parameters; these are an `nnx.State`, a pytree like any other."""

    def __init__(self, text: Text, steps: int, **size: int) -> None:
        """Prepare the data and split the network."""
        self.text = text
        self.steps = steps
        self.network = partial(Transformer, len(text.alphabet), **size)
        self.graphdef, self.shapes = nnx.split(nnx.eval_shape(lambda: self.network(rngs=nnx.Rngs(0))), nnx.Param)
        validation = windows(text.validation, CONTEXT)
        self.validation = validation[:: max(len(validation) // 90, 1)]  # enough for a search, and fast
        self.test = windows(text.test, CONTEXT)
        self.test_loss = jax.jit(self._test_loss)
        self.compiled: dict[str, Callable[..., Any]] = {}

    def init(self, seed: int) -> PyTree:
        """Draw initial parameters."""
        return nnx.state(self.network(rngs=nnx.Rngs(seed)), nnx.Param)

    def optimizer(self) -> optax.GradientTransformation:
        """Build what every method wraps: inside, clipping sees the norm of the kept weights' gradient."""
        rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, self.steps // 10, self.steps)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))

    def loss(self, params: PyTree, tokens: jax.Array) -> jax.Array:
        """Average the cross-entropy over windows `[B, T + 1]`, in nats per character."""
        logits = nnx.merge(self.graphdef, params)(tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    def _test_loss(self, params: PyTree) -> jax.Array:
        return jax.lax.map(lambda window: self.loss(params, window[None]), self.test, batch_size=66).mean()

    def train(
        self, optimizer: optax.GradientTransformationExtraArgs, params: PyTree, seed: int, name: str
    ) -> tuple[lpjax.Ticket, PyTree]:
        """Train; return the ticket, and the parameters after a tenth of the steps.

        Args:
          optimizer: A sparse one.
          params: Where to start. They are donated.
          seed: Draws the batches.
          name: Of the compiled step. Masks and keys are part of the optimizer's state, so optimizers that differ in
            them alone share a step.
        """
        step = self.compiled.setdefault(name, self._step(optimizer))
        state = optimizer.init(params)
        key = jax.random.key(seed)
        for i in range(self.steps):
            if i == self.steps // 10:
                early = jax.tree.map(jnp.copy, params)
            params, state = step(params, state, jax.random.fold_in(key, i))
        mask = lpjax.get_mask(state)
        lpjax.assert_on_mask(params, mask)
        return lpjax.Ticket(params, mask), early

    def _step(self, optimizer: optax.GradientTransformationExtraArgs) -> Callable[..., Any]:
        @partial(jax.jit, donate_argnums=(0, 1))
        def step(params: PyTree, state: optax.OptState, key: jax.Array) -> tuple[PyTree, optax.OptState]:
            starts = jax.random.randint(key, (BATCH,), 0, self.text.train.size - CONTEXT)
            tokens = self.text.train[starts[:, None] + jnp.arange(CONTEXT + 1)]
            grads = jax.grad(self.loss)(params, tokens)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        return step


class Result(NamedTuple):
    """A network that a method found: the density asked for, and how many trainings it took."""

    method: str
    density: float
    trainings: int
    ticket: lpjax.Ticket


def rigl(problem: Problem, seed: int) -> Iterator[Result]:
    """Train sparse from the first step on."""
    for density in DENSITIES:
        every, until = problem.steps // 20, problem.steps * 3 // 4
        optimizer = lpjax.rigl(problem.optimizer(), density, every=every, until=until, key=seed)
        ticket, _ = problem.train(optimizer, problem.init(seed), seed, f"RigL, {density}")
        yield Result("RigL", density, 1, ticket)


def gmp(problem: Problem, seed: int) -> Iterator[Result]:
    """Prune gradually during one training."""
    for density in DENSITIES:
        every, begin, end = problem.steps // 20, problem.steps // 10, problem.steps * 3 // 4
        optimizer = lpjax.gmp(problem.optimizer(), density, every=every, begin=begin, end=end)
        ticket, _ = problem.train(optimizer, problem.init(seed), seed, f"GMP, {density}")
        yield Result("GMP", density, 1, ticket)


def tickets(problem: Problem, seed: int) -> Iterator[Result]:
    """Prune between trainings (IMP, LRR), and pool the tickets of IMP; the dense network is level 0 of both.

    Two controls train the dense network again where IMP and LRR do, without pruning it.
    """
    params = problem.init(seed)
    optimizer = lpjax.fixed_mask(problem.optimizer(), lpjax.full_mask(params))
    dense, early = problem.train(optimizer, params, seed, "fixed mask")
    yield Result("dense", 1.0, 1, dense)
    for method, start in {"dense, rewound": early, "dense, continued": dense.params}.items():
        ticket, _ = problem.train(optimizer, jax.tree.map(jnp.copy, start), seed, "fixed mask")
        yield Result(method, 1.0, 2, ticket)
    sequences = {
        "IMP": iterative(problem, seed, dense, early, rewind=True),
        "LRR": iterative(problem, seed, dense, early, rewind=False),
    }
    for method, sequence in sequences.items():
        for level, density in enumerate(DENSITIES, 1):
            yield Result(method, density, level + 1, sequence[level])

    sequence = sequences["IMP"]
    search = lpjax.pool(lambda params: -problem.loss(params, problem.validation))
    for anchor, density in enumerate((1.0, *DENSITIES)):
        state = search.init(sequence[anchor])
        for level in lpjax.neighbors(anchor, range(len(sequence))):
            state, _ = search.step(state, sequence[level].params)
        print(f"  pool at density {density}: {state.accepted} of {state.tried} candidates accepted", flush=True)
        yield Result("pool of IMP", density, len(sequence), search.ticket(state))


def iterative(problem: Problem, seed: int, dense: lpjax.Ticket, early: PyTree, rewind: bool) -> list[lpjax.Ticket]:
    """Prune and train, level by level; every level restarts from `early` (IMP), or goes on from its weights (LRR)."""
    found = [dense]
    state = lpjax.imp(rewind=rewind).init(early)
    for fraction in PRUNE_FRACTIONS:
        state = lpjax.imp(fraction, rewind=rewind).step(state, found[-1].params)
        optimizer = lpjax.fixed_mask(problem.optimizer(), state.mask)
        ticket, _ = problem.train(optimizer, state.params, seed, "fixed mask")
        found.append(ticket)
    return found


GROUPS = {"RigL": rigl, "GMP": gmp, "dense": tickets}
"""What is run, and skipped, together, by the method that comes first."""


def run(problem: Problem, seeds: list[int], path: Path) -> list[dict[str, Any]]:
    """Run every group of methods for every seed, except those that the CSV file has; return the rows of these seeds."""
    rows = read(path)
    for seed in seeds:
        for first, group in GROUPS.items():
            if any(row["seed"] == seed and row["method"] == first for row in rows):
                continue
            start = time.monotonic()
            for result in group(problem, seed):
                rows.append(measure(problem, seed, result))
                bits = rows[-1]["bits"]
                print(f"seed {seed}, {result.method} at density {result.density}: {bits:.3f}", flush=True)
            write(path, rows)
            print(f"  {time.monotonic() - start:.0f} s", flush=True)
    return [row for row in rows if row["seed"] in seeds]


def measure(problem: Problem, seed: int, result: Result) -> dict[str, Any]:
    """Measure a network on the test text: bits per character."""
    params, mask = result.ticket
    return {
        "seed": seed,
        "method": result.method,
        "density": result.density,
        "kept": int(lpjax.kept(mask)),
        "total": lpjax.total(mask),
        "steps": problem.steps,
        "trainings": result.trainings,
        "bits": float(problem.test_loss(params)) / math.log(2),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV file, which need not exist."""
    if not path.exists():
        return []
    return pd.read_csv(path, converters={"bits": float}).to_dict("records")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace a CSV file in one go, and note where it comes from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    pd.DataFrame(rows).to_csv(new, index=False, lineterminator="\n")
    new.replace(path)
    path.with_name("environment.json").write_text(json.dumps(environment(), indent=2) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Write mean and standard deviation over seeds in Markdown, a column per density."""
    densities = (1.0, *DENSITIES)
    lines = []
    for method in METHODS:
        trainings = dict.fromkeys(str(row["trainings"]) for row in rows if row["method"] == method)
        cells = [method, ", ".join(trainings)]
        for density in densities:
            bits = pd.Series([row["bits"] for row in rows if (row["method"], row["density"]) == (method, density)])
            cells.append(markdown.spread(bits.mean(), bits.std(), ".3f") if len(bits) else "")
        lines.append(cells)
    return markdown.table(["method", "trainings", *(f"density {density:g}" for density in densities)], lines)


def keep(out: Path, seeds: list[int], text: str) -> None:
    """Copy results to this folder and put their table into its README."""
    for name in ("results.csv", "environment.json"):
        (FOLDER / name).write_text((out / name).read_text())
    ran = json.loads((FOLDER / "environment.json").read_text())
    versions = ", ".join(f"{name} {ran[name]}" for name in ("python", "jax", "flax", "optax"))
    where = f"Seeds {', '.join(map(str, seeds))}; {os.cpu_count()} CPU cores; {versions}."
    replace_between(FOLDER / "README.md", "results", f"{text}\n\n{where}")


def main(argv: list[str]) -> None:
    """Run the experiment from the command line."""
    parser = OneLineParser("python -m experiments.char_lm", __doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="replicates")
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument("--out", type=Path, default=Path("runs/char_lm"), help="where results go")
    parser.add_argument("--keep", action="store_true", help="put results into this experiment's folder and README")
    options = parser.parse_args(argv)
    path = options.out / "results.csv"
    if options.steps < 20:
        parser.error(f"--steps: got {options.steps}, expected 20 or more")
    if any(row["steps"] != options.steps for row in read(path)):
        parser.error(f"--steps: {path} holds results of other trainings; choose another --out")

    remember_compilations()
    problem = Problem(load(), options.steps)
    print(lpjax.summary(problem.shapes), flush=True)
    text = table(run(problem, options.seeds, path))
    print(text)
    if options.keep:
        keep(options.out, options.seeds, text)


if __name__ == "__main__":
    main(sys.argv[1:])
