"""Work of a compiled program, counted in its text with the loops it runs: what one device computes and passes on."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}


class Work(NamedTuple):
    """What one device does in one call."""

    flops: float = 0  # of convolutions and products of matrices, two a multiplication
    reductions: float = 0
    reduced: float = 0  # bytes
    gathers: float = 0
    gathered: float = 0  # bytes of the results


def work(text: str) -> Work:
    """Count the work of a program.

    A loop counts as often as XLA knows it to run (once where it does not know), a branch as the dearest.
    """
    computations: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if opens := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            lines = computations.setdefault("ENTRY" if opens[1] else opens[2], [])
        else:
            lines.append(line)
    known: dict[str, Work] = {}

    def of(name: str) -> Work:
        if name not in known:
            defined = dict(re.findall(r"%([\w.\-]+) = ([a-z]\w*\[[\d,]*\])", "\n".join(computations[name])))
            known[name] = _sum(_line(line, defined, of) for line in computations[name])
        return known[name]

    return of("ENTRY")


def _line(line: str, defined: dict[str, str], of: Callable[[str], Work]) -> Work:
    found = re.search(r"= (.*?) ([a-z][\w\-]*)\(([^)]*)\)", line)
    if not found:
        return Work()
    shape, operation, operands = found[1], found[2], re.findall(r"%([\w.\-]+)", found[3])
    if operation == "convolution":
        kernel, labels = _dims(defined[operands[1]]), re.search(r"_(\w+)->", line)
        output = labels[1].index("o") if labels else -1
        return Work(flops=2 * math.prod(_dims(shape)) * math.prod(kernel) / kernel[output])
    if operation == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line)
        inner = [_dims(defined[operands[0]])[int(i)] for i in contracted[1].split(",") if i] if contracted else []
        return Work(flops=2 * math.prod(_dims(shape)) * math.prod(inner))
    if operation.startswith("all-reduce") and not operation.endswith("done"):
        return Work(reductions=1, reduced=_size(shape))
    if operation.startswith("all-gather") and not operation.endswith("done"):
        return Work(gathers=1, gathered=_size(shape))
    if operation == "conditional":
        branches = re.search(r"branch_computations=\{([^}]*)\}", line)
        names = branches[1] if branches else " ".join(re.findall(r"(?:true|false)_computation=(%[\w.\-]+)", line))
        return max(map(of, re.findall(r"%([\w.\-]+)", names)), default=Work())
    if called := re.search(r"(?:body|calls|to_apply)=%([\w.\-]+)", line):
        times = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
        return Work(*(int(times[1] if times else 1) * part for part in of(called[1])))
    return Work()


def _sum(parts: object) -> Work:
    return Work(*map(sum, zip(Work(), *parts, strict=True)))  # type: ignore[misc]


def _dims(shape: str) -> list[int]:
    return [int(n) for n in re.findall(r"\[([\d,]*)\]", shape)[0].split(",") if n]


def _size(shape: str) -> int:
    arrays = re.findall(r"([a-z]\w*)\[([\d,]*)\]", shape)
    return sum(_BYTES[dtype] * math.prod(int(n) for n in dims.split(",") if n) for dtype, dims in arrays)
