"""What a step of the pool search costs: one candidate at eleven coefficients, against eleven evaluations on their own.

Both sides recalibrate on the same training images and validate on the same held-out images. The search mixes and prunes
besides. With --chunks the search is timed for every lowering of its grid; a chunk of 1 is the loop.

Command: python -m experiments.benchmarks.pool_search --model=resnet20 --images=512
"""

import sys
from collections.abc import Callable

import jax

from experiments.benchmarks.inputs import machine, parser, search_problem
from experiments.benchmarks.timing import medians
from lpjax import models, pools


def main(argv: list[str]) -> None:
    """Print one row per chunk: medians of both sides and their ratio."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="resnet20", choices=models.NAMES)
    arguments.add_argument("--side", type=int, default=32, help="image height and width")
    arguments.add_argument("--images", type=int, default=512, help="images to recalibrate on, and to validate on")
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    arguments.add_argument("--chunks", type=int, nargs="+", default=[1])
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args(argv)

    measures, ticket, candidate = search_problem(options, options.dtype)
    key = jax.random.key(0)
    single = jax.jit(lambda evaluate, recalibrate, variables: evaluate(recalibrate(variables, key)))

    def evaluations() -> list[jax.Array]:
        return [single(*measures, candidate) for _ in pools.INTERPOLATION]

    def search(chunk: int) -> Callable[[], jax.Array]:
        method = pools.pool(*measures, chunk=chunk)
        state = method.init(ticket, key)
        return lambda: method.step(state, candidate)[1].values

    sides = {"evaluations": evaluations} | {f"chunk {chunk}": search(chunk) for chunk in options.chunks}
    seconds = medians(sides, options.rounds)
    print(f"{options.model} {options.dtype}, {options.images} images, {machine()}")
    print(f"{'search':>9} {'seconds':>9} {'11 evaluations':>15} {'ratio':>6}")
    for chunk in options.chunks:
        ours, theirs = seconds[f"chunk {chunk}"], seconds["evaluations"]
        print(f"{f'chunk {chunk}':>9} {ours:9.3f} {theirs:15.3f} {ours / theirs:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
