"""What a step of the pool search costs: one candidate at eleven coefficients, against eleven evaluations on their own.

Both sides recalibrate on the same training images and validate on the same held-out images. The search mixes and prunes
besides. With --chunks the search is timed for every lowering of its grid; a chunk of 1 is the loop.

Command: python -m experiments.benchmarks.pool_search --model=resnet20 --images=512
"""

import argparse
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import medians
from lpjax import models, pools, sparsity, train
from lpjax.types import Batch, Ticket


def main(argv: list[str]) -> None:
    """Prints one row a chunk: medians of both sides and their ratio.

    Args:
      argv: Command-line arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20", choices=models.NAMES)
    parser.add_argument("--side", type=int, default=32, help="image height and width")
    parser.add_argument("--images", type=int, default=512, help="images to recalibrate on, and to validate on")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--chunks", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)

    shape = (options.side, options.side, 3)
    module = models.build(options.model, classes=10, dtype=options.dtype)
    apply = models.bind(module)
    keys = jax.random.split(jax.random.key(0), 4)
    images = jax.random.randint(keys[0], (options.images, *shape), 0, 256).astype(jnp.uint8)
    batch = Batch(images, jax.random.randint(keys[1], (options.images,), 0, 10))

    def preprocess(images: jax.Array) -> jax.Array:
        return images.astype(jnp.float32) / 255

    def augment(keys: jax.Array, images: jax.Array) -> jax.Array:
        del keys
        return preprocess(images)

    evaluate = train.evaluator(apply, preprocess, batch, options.batch)
    recalibrate = train.recalibrator(apply, augment, batch, images=options.images, batch_size=options.batch)
    anchor, candidate = (models.initialize(module, key, shape) for key in keys[2:])
    dense = sparsity.full_mask(anchor)
    mask = sparsity.select(sparsity.magnitude(anchor), dense, sparsity.total(dense) // 5)
    ticket = Ticket(sparsity.apply_mask(anchor, mask), mask)
    single = jax.jit(lambda evaluate, recalibrate, variables: evaluate(recalibrate(variables, keys[0])))

    def evaluations() -> list[jax.Array]:
        return [single(evaluate, recalibrate, candidate) for _ in pools.INTERPOLATION]

    def search(chunk: int) -> Callable[[], jax.Array]:
        method = pools.pool(evaluate, recalibrate, chunk=chunk)
        state = method.init(ticket, keys[0])
        return lambda: method.step(state, candidate)[1].values

    sides = {"evaluations": evaluations} | {f"chunk {chunk}": search(chunk) for chunk in options.chunks}
    seconds = medians(sides, options.rounds)
    device = jax.devices()[0].device_kind
    print(f"{options.model} {options.dtype}, {options.images} images, {device}, jax {jax.__version__}")
    print(f"{'search':>9} {'seconds':>9} {'11 evaluations':>15} {'ratio':>6}")
    for chunk in options.chunks:
        ours, theirs = seconds[f"chunk {chunk}"], seconds["evaluations"]
        print(f"{f'chunk {chunk}':>9} {ours:9.3f} {theirs:15.3f} {ours / theirs:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
