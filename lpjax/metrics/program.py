"""Number of multiplications per parameter in a traced program."""

import collections
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

PyTree = Any
Source = dict[int, float] | None
"""What an array depends on. None: the inputs. Otherwise a dict from the index of a parameter to its fraction of the
array's elements, empty for a constant."""

_CALLS = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vmap_call": "call",
    "eval_jaxpr": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
}
_PRODUCTS = ("conv_general_dilated", "dot_general")
_SLICES = ("dynamic_slice", "slice", "split")


def multiplications(function: Callable[..., Any], params: PyTree, *inputs: Any) -> list[float]:
    """Count the multiplications of inputs by each parameter, in convolutions and matrix products; `params` in order.

    The function is traced, not run. Parameters multiplied inside a `while` loop, a kernel or a `shard_map` are refused.
    """
    program = jax.make_jaxpr(function)(params, *inputs).jaxpr
    leaves = len(jax.tree.leaves(params))
    of_params: list[Source] = [{leaf: 1.0} for leaf in range(leaves)]
    of_inputs: list[Source] = [None] * (len(program.invars) - leaves)
    tally = [0.0] * leaves
    _walk(program, of_params + of_inputs, 1, tally)
    return tally


def _walk(jaxpr: Jaxpr, arguments: Sequence[Source], times: int, tally: list[float]) -> list[Source]:
    """Add the multiplications of `times` runs of the program to the tally; return the sources of its results."""
    sources: dict[Any, Source] = dict(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Source:
        return {} if isinstance(atom, Literal) else sources.get(atom, {})

    for equation in jaxpr.eqns:
        operands = list(map(read, equation.invars))
        results = _apply(equation, operands, times, tally)
        sources.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _apply(equation: Any, operands: list[Source], times: int, tally: list[float]) -> list[Source]:
    name = equation.primitive.name
    inner = equation.params
    if name in _PRODUCTS:
        return [_multiply(equation, operands[0], operands[1], times, tally)]
    if name in _CALLS:
        return _walk(_open(inner[_CALLS[name]]), operands, times, tally)
    if name == "scan":
        return _scan(equation, operands, times, tally)
    if name == "cond":
        return _branch(inner["branches"], operands, times, tally)
    if any(operands) and any(map(_multiplies, _nested(equation))):
        raise ValueError(
            f"function: FLOPs inside {name!r} cannot be counted; use a function without it (lax.scan is supported)"
        )
    return [_made_of(equation, operands, variable.aval) for variable in equation.outvars]


def _multiply(equation: Any, left: Source, right: Source, times: int, tally: list[float]) -> Source:
    """Count a product of a parameter and what depends on the inputs."""
    if left is not None and right is not None:
        return {}
    for leaf, share in (left or right or {}).items():
        tally[leaf] += times * share * _products(equation)
    return None


def _products(equation: Any) -> int:
    """Count the products that are summed, over all elements of the result."""
    left, right = (variable.aval for variable in equation.invars)
    terms = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        summed = math.prod(left.shape[axis] for axis in terms[0][0])
    else:
        summed = right.size // right.shape[terms.rhs_spec[0]]
    return equation.outvars[0].aval.size * summed


def _made_of(equation: Any, operands: list[Source], result: Any) -> Source:
    """Return the source of a result of elementwise operations, reshapes, transposes, slices or concatenation."""
    if None in operands:
        return None
    size = max(1, math.prod(getattr(result, "shape", ())))
    name = equation.primitive.name
    if name == "concatenate":
        joined: dict[int, float] = collections.defaultdict(float)
        for source, variable in zip(operands, equation.invars, strict=True):
            for leaf, share in (source or {}).items():
                joined[leaf] += share * variable.aval.size / size
        return dict(joined)
    made_of: Source = {}
    for source, variable in zip(operands, equation.invars, strict=True):
        if variable.aval.size == size or name in _SLICES:
            made_of = _merge(made_of, source)
    return made_of


def _merge(source: Source, other: Source) -> Source:
    if source is None or other is None:
        return None
    return {leaf: max(source.get(leaf, 0.0), other.get(leaf, 0.0)) for leaf in source | other}


def _scan(equation: Any, operands: list[Source], times: int, tally: list[float]) -> list[Source]:
    body = _open(equation.params["jaxpr"])
    length = equation.params["length"]
    # Operands are constants, then carry, then scanned arrays, whose rank is reduced in the body. Their numbers follow
    # from the ranks, since the names of the parameters that hold them differ between releases of JAX.
    last = sum(map(operator.eq, _axes(equation.invars), _axes(body.invars)))
    first = last - sum(map(operator.eq, _axes(equation.outvars), _axes(body.outvars)))
    while True:  # until the sources of the carry no longer change
        results = _walk(body, operands, 0, tally)
        carried = list(map(_merge, operands[first:last], results))
        if carried == operands[first:last]:
            return _walk(body, operands, times * length, tally)
        operands = [*operands[:first], *carried, *operands[last:]]


def _axes(variables: Any) -> list[int]:
    return [variable.aval.ndim for variable in variables]


def _branch(branches: Sequence[Any], operands: list[Source], times: int, tally: list[float]) -> list[Source]:
    """Count the maximum over branches, per parameter."""
    largest = [0.0] * len(tally)
    results: list[Source] = []
    for branch in branches:
        counts = [0.0] * len(tally)
        of_branch = _walk(_open(branch), operands[1:], times, counts)
        largest = list(map(max, largest, counts))
        results = list(map(_merge, results, of_branch)) if results else of_branch
    tally[:] = map(operator.add, tally, largest)
    if operands[0] is None:
        return [None] * len(results)
    return results


def _multiplies(jaxpr: Jaxpr) -> bool:
    for equation in jaxpr.eqns:
        if equation.primitive.name in _PRODUCTS or any(map(_multiplies, _nested(equation))):
            return True
    return False


def _nested(equation: Any) -> Iterator[Jaxpr]:
    def is_program(value: Any) -> bool:
        return isinstance(value, Jaxpr | ClosedJaxpr)

    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
        if is_program(value):
            yield _open(value)


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
