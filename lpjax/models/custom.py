"""Networks of your own: any Flax module, linen or NNX, in the form that runs need."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import InvalidRngError

from lpjax.errors import UserError
from lpjax.types import Apply, PyTree, Variables

_MODES: dict[str, bool] = {"train": True, "training": True, "deterministic": False, "use_running_average": False}
"""Arguments that switch a linen module to training, with their value while it trains."""


class CustomModel(NamedTuple):
    """A network that is not in the table.

    Attributes:
      initialize: `(key, image_shape) -> variables`.
      apply: The network as a pure function.
    """

    initialize: Callable[[jax.Array, tuple[int, int, int]], Variables]
    apply: Apply


def load_constructor(name: str) -> Callable[..., Any]:
    """Import what `'package.module:name'` names.

    Raises:
      UserError: If the module or the name does not exist.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"model: got {name!r}, expected 'package.module:name' of a Flax module; {error}") from error


def custom_model(constructor: Callable[..., Any], options: Mapping[str, Any]) -> CustomModel:
    """Build a network from the class of a Flax module, or a function that returns one.

    The constructor is given those of `classes`, `dtype` and further options that it accepts, and `rngs` if it makes an
    NNX module. A linen module is called with images, and with `train`, `training`, `deterministic` or
    `use_running_average` if it accepts one of them; an NNX module is switched by its `train()` and `eval()`. BatchNorm
    layers run with momentum 0 and over all devices, whatever their own setting: runs average statistics themselves.

    Raises:
      UserError: If the constructor makes something else, or a module that draws random numbers while it trains, such as
        Dropout; a linen module is refused at its first training step.
    """
    makes_module = isinstance(constructor, type) and issubclass(constructor, nn.Module | nnx.Module)
    if isinstance(constructor, type) and not makes_module:
        raise UserError(f"model: got the class {constructor.__qualname__}, expected a Flax module")
    # The metaclass of NNX hides the arguments of a class.
    parameters = inspect.signature(constructor.__init__ if makes_module else constructor).parameters
    accepts_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    accepted = {name: value for name, value in options.items() if accepts_all or name in parameters}
    if "rngs" in parameters:
        return _nnx_model(constructor, accepted)
    module = constructor(**accepted)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"model: got {constructor!r}, which makes {type(module).__name__}, expected a Flax module: linen, or NNX "
            "with an argument rngs"
        )
    return _linen_model(module)


def _linen_model(module: nn.Module) -> CustomModel:
    accepted = inspect.signature(type(module).__call__).parameters
    mode = next((name for name in _MODES if name in accepted), None)

    def arguments(train: bool) -> dict[str, Any]:
        return {} if mode is None else {mode: _MODES[mode] == train}

    def initialize(key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
        images = jnp.zeros((1, *image_shape), jnp.float32)
        variables = jax.jit(lambda key: module.init(key, images, **arguments(False)))(key)
        return Variables(variables["params"], variables.get("batch_stats", {}))

    def apply(
        variables: Variables, images: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        collections = {"params": variables.params, "batch_stats": variables.stats}
        if not train:
            return jnp.asarray(module.apply(collections, images, **arguments(False))), variables.stats

        def with_batch_statistics(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            if isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__":
                object.__setattr__(context.module, "momentum", 0.0)  # modules are frozen when they are called
                object.__setattr__(context.module, "axis_name", axis_name)
            return call(*args, **kwargs)

        try:
            with nn.intercept_methods(with_batch_statistics):
                logits, updated = module.apply(collections, images, **arguments(True), mutable=["batch_stats"])
        except InvalidRngError as error:
            raise UserError(
                f"model: got {type(module).__name__}, which draws random numbers while it trains, expected none: "
                "layers such as Dropout are not supported; remove them, or set their rate to 0"
            ) from error
        return jnp.asarray(logits), updated.get("batch_stats", {})

    return CustomModel(initialize, apply)


def _nnx_model(constructor: Callable[..., Any], options: Mapping[str, Any]) -> CustomModel:
    def create(key: jax.Array) -> nnx.Module:
        return constructor(**options, rngs=nnx.Rngs(key))

    shapes = nnx.eval_shape(lambda: create(jax.random.key(0)))
    graph, param_shapes, stat_shapes, other = nnx.split(shapes, nnx.Param, nnx.BatchStat, ...)  # type: ignore[misc]
    if jax.tree.leaves(other):
        raise UserError(
            f"model: got {constructor!r}, whose module has variables besides nnx.Param and nnx.BatchStat "
            f"({', '.join(sorted(_names(other)))}), expected none: layers that draw random numbers, such as Dropout, "
            "are not supported"
        )

    def initialize(key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
        del image_shape
        params, stats = nnx.state(create(key), nnx.Param, nnx.BatchStat)
        return Variables(_nested(params), _nested(stats))

    def apply(
        variables: Variables, images: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        model = nnx.merge(graph, _filled(param_shapes, variables.params), _filled(stat_shapes, variables.stats))
        if not train:
            model.eval()
            return jnp.asarray(model(images)), variables.stats
        model.train()
        for _, layer in nnx.iter_graph(model):
            if isinstance(layer, nnx.BatchNorm):
                layer.momentum = 0.0
                layer.axis_name = axis_name
        logits = jnp.asarray(model(images))
        return logits, _nested(nnx.state(model, nnx.BatchStat))

    return CustomModel(initialize, apply)


def _names(state: nnx.State) -> set[str]:
    return {"/".join(map(str, path)) for path, _ in nnx.to_flat_state(state)}


def _nested(state: nnx.State) -> PyTree:
    """Return nested dicts of arrays with text for keys, as files have them."""
    tree: dict[str, Any] = {}
    for path, variable in nnx.to_flat_state(state):
        *parents, name = map(str, path)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = variable.get_value() if hasattr(variable, "get_value") else variable
    return tree


def _filled(state: nnx.State, tree: PyTree) -> nnx.State:
    """Put the arrays of nested dicts into a state."""
    filled = []
    for path, variable in nnx.to_flat_state(state):
        value = tree
        for name in path:
            value = value[str(name)]
        filled.append((path, variable.replace(value)))
    return nnx.from_flat_state(filled)
