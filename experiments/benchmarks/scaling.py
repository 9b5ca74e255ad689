"""What more devices give: on paper, from FLOPs and the bytes that the compiled step exchanges, and on simulated ones.

Command: python -m experiments.benchmarks.scaling --keep
"""

import argparse
import itertools
import math
import os
import re
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.inputs import to_unit
from experiments.benchmarks.timing import medians
from lpjax import models, train
from lpjax.run.setup import network_flops
from lpjax.types import Batch

REPORT, DEVICES, SIMULATED = Path(__file__).with_suffix(".md"), (8, 64, 256), (1, 2, 4, 8)
PARTS = ("compute", "gradients", "statistics", "step", "overlapped")

Machine = namedtuple("Machine", "name peak near far latency")  # FLOP/s, bytes/s up to 8 devices and beyond, seconds
MACHINES = (Machine("H100", 989e12, 450e9, 50e9, 5e-6), Machine("TPU v4", 275e12, 50e9, 50e9, 1e-6))


class Traffic(NamedTuple):
    """Bytes of one step's all-reduces: of those inside the network, which wait for each other; of all at its end."""

    inside: tuple[int, ...]
    end: int


class Case(NamedTuple):
    """A data-parallel step, shapes of its arguments, forward FLOPs of an image."""

    step: Callable[..., Any]
    shapes: tuple[Any, ...]
    flops: float


def case(name: str, side: int, batch: int, devices: int) -> Case:
    """Build a network's step on the first devices; nothing is computed."""
    module, optimizer = models.build(name, classes=1000, dtype="float32"), train.sgd(optax.constant_schedule(0.1))
    apply, key = models.bind(module), jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda key: models.initialize(module, key, (side, side, 3)), key)
    state = jax.eval_shape(lambda variables: train.initial_state(variables, optimizer), variables)
    images, labels = (jax.ShapeDtypeStruct((batch, *s), jnp.uint8) for s in ((side, side, 3), ()))
    one = train.train_step(apply, optimizer, to_unit, axis_name=train.AXIS)
    step = train.data_parallel(one, train.mesh_of(jax.devices()[:devices]))
    shapes = (state, Batch(images, labels), jax.ShapeDtypeStruct((batch,), jnp.int32), key)
    return Case(step, shapes, sum(jax.tree.leaves(network_flops(apply, variables, (side, side, 3)))))


def traffic(hlo: str) -> Traffic:
    """Read the all-reduces of a compiled float32 step; a layer's own, forward or backward, are inside the network."""
    found = re.findall(r'= (.*?) all-reduce(?:-start)?\(.*?op_name="(.*?)"', hlo)
    shapes = [[s.split(",") if s else [] for s in re.findall(r"f32\[([\d,]*)\]", types)] for types, _ in found]
    sizes = [4 * sum(math.prod(map(int, shape)) for shape in operands) for operands in shapes]
    inside = tuple(size for size, (_, name) in zip(sizes, found, strict=True) if "jvp(" in name)
    return Traffic(inside, sum(sizes) - sum(inside))


def predict(machine: Machine, n: int, compute: float, sent: Traffic) -> dict[str, float]:
    """Predict the seconds of a step on n devices, from those that each computes; `scaling.md` says how."""

    def all_reduce(size: float, hops: int) -> float:
        return 2 * (n - 1) / n * size / (machine.near if n <= 8 else machine.far) + hops * machine.latency

    gradients = all_reduce(sent.end, 2 * (n - 1))
    statistics = sum(all_reduce(size, 2 * math.ceil(math.log2(n))) for size in sent.inside)
    step = compute + gradients + statistics
    return dict(zip(PARTS, (compute, gradients, statistics, step, step - min(gradients, 2 / 3 * compute)), strict=True))


def efficiencies(flops: float, sent: Traffic, utilizations: list[float], measured: float | None) -> str:
    """Tabulate what is predicted; `measured` seconds of 128 images on one device replace the FLOPs."""
    rows = [f"| machine | of its peak | devices | images a device | {', ms | '.join(PARTS)}, ms | efficiency |"]
    rows += ["|" + "---|" * (len(PARTS) + 5)]
    for machine, utilization in itertools.product(MACHINES, utilizations[: 1 if measured else None]):
        image = measured / 128 if measured else 3 * flops / (utilization * machine.peak)
        for n, batch in [(n, 128) for n in DEVICES] + [(n, 1024 // n) for n in DEVICES[1:]]:
            seconds = predict(machine, n, batch * image, sent)
            cells = " | ".join(f"{1e3 * seconds[part]:.2f}" for part in PARTS)
            shares = " to ".join(f"{seconds['compute'] / seconds[way]:.2f}" for way in ("step", "overlapped"))
            rows.append(f"| {machine.name} | {utilization} | {n} | {batch} | {cells} | {shares} |")
    return "\n".join(rows)


def simulated(rounds: int) -> str:
    """Time small networks: one after another, and one on more and more simulated devices."""
    alone = {name: case(name, 32, 64, 1) for name in ("resnet8", "resnet20", "resnet44")}
    spread = {str(n): case("resnet8", 32, 64, n) for n in SIMULATED}
    seconds = medians({name: again(model) for name, model in (alone | spread).items()}, rounds)
    rows = ["| network | FLOPs of a step | step | reached |", "|---|---|---|---|"]
    for name, model in alone.items():
        giga = 3 * 64 * model.flops / 1e9
        rows.append(f"| {name} | {giga:.1f}e9 | {seconds[name]:.3f} s | {giga / seconds[name]:.0f}e9 / s |")
    rows += ["", "| simulated devices | step of `resnet8`, 64 images | by that of one |", "|---|---|---|"]
    return "\n".join(rows + [f"| {n} | {seconds[n]:.3f} s | {seconds[n] / seconds['1']:.2f} |" for n in spread])


def again(model: Case) -> Callable[[], Any]:
    """Make a step that can be called again and again, although it donates its state."""
    state, data, rows = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), model.shapes[:3])
    held, key = [state], jax.random.key(0)

    def call() -> Any:
        held[0], metrics = model.step(held[0], data, rows, key)
        return metrics

    return call


def main(argv: list[str]) -> None:
    """Print the tables, and put them into their place in `scaling.md` if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utilization", type=float, nargs="+", default=[0.4, 0.1], help="shares of the peak")
    parser.add_argument("--seconds-per-step", type=float, help="measured on one device, 128 images, instead")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help=f"write {REPORT.name}")
    options = parser.parse_args(argv)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(SIMULATED))
    model, compiled = case("imagenet_resnet50", 224, 8, 1), case("imagenet_resnet50", 32, 16, 8)
    sent = traffic(compiled.step.lower(*compiled.shapes).compile().as_text())
    command = " ".join(["python -m experiments.benchmarks.scaling", *argv])
    size = sum(leaf.size for leaf in jax.tree.leaves(model.shapes[0].variables.params))
    text = f"""`{command}`, jax {jax.__version__}, {os.cpu_count()} CPU cores

ResNet-50: {size:,} parameters, {model.flops / 1e9:.3f}e9 FLOPs forward an image. A step of 8 devices exchanges
{sent.end / 1e6:.1f} MB at its end, and {sum(sent.inside) / 1e6:.2f} MB of statistics in {len(sent.inside)} all-reduces.

{efficiencies(model.flops, sent, options.utilization, options.seconds_per_step)}

{simulated(options.rounds)}"""
    print(text)
    if options.keep:
        before, _, after = re.split(r"(?s)(?<=<!-- measured -->\n)(.*)(?=\n<!-- end -->)", REPORT.read_text())
        REPORT.write_text(before + text + after)


if __name__ == "__main__":
    main(sys.argv[1:])
