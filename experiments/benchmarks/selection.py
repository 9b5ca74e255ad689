"""What exact global selection costs: bisection on the floats' bits against a sort of all scores.

Command: python -m experiments.benchmarks.selection --weights=11159232
"""

import sys

import jax
import jax.numpy as jnp

from experiments.benchmarks.inputs import machine, parser
from experiments.benchmarks.timing import medians
from lpjax import sparsity


def main(argv: list[str]) -> None:
    """Print both medians and their ratio."""
    arguments = parser(__doc__)
    arguments.add_argument("--weights", type=int, default=11_159_232)
    arguments.add_argument("--leaves", type=int, default=20)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args(argv)

    size = options.weights // options.leaves
    scores = [jnp.abs(jax.random.normal(jax.random.key(i), (size,))) for i in range(options.leaves)]
    mask = sparsity.full_mask(scores)
    count = sparsity.total(mask, sparsity.all_leaves) // 3

    @jax.jit
    def bisect(scores: list[jax.Array]) -> list[jax.Array]:
        return sparsity.select(scores, mask, count, sparsity.all_leaves)

    @jax.jit
    def sort(scores: list[jax.Array]) -> jax.Array:
        order = jnp.argsort(jnp.concatenate(scores), stable=True)
        return jnp.zeros(order.size, bool).at[order[-count:]].set(True)

    agree = bool(jnp.all(jnp.concatenate(bisect(scores)) == sort(scores)))
    seconds = medians({"bisection": lambda: bisect(scores), "sort": lambda: sort(scores)}, options.rounds)
    print(f"{size * options.leaves:,} weights, {machine()}, agree: {agree}")
    ratio = seconds["sort"] / seconds["bisection"]
    print(f"bisection {seconds['bisection']:.3f} s, sort {seconds['sort']:.3f} s, ratio {ratio:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
