"""Training inside a mask that stays, as an optax transform."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lpjax.sparsity import apply_mask, ensure_same_shapes, expand_mask, leaf_name

PyTree = Any


class FixedMaskState(NamedTuple):
    """The mask, carried as data so that one compiled step serves every mask.

    Attributes:
      mask: Bool tree, in buffers of its own.
      inner: State of the wrapped transform.
    """

    mask: PyTree
    inner: optax.OptState


def fixed_mask(inner: optax.GradientTransformation, mask: PyTree) -> optax.GradientTransformationExtraArgs:
    """Wrap an optimizer so that parameters and moments are zero outside a mask after every update.

    Gradients and parameters are masked before they reach the inner optimizer, moments after it, and the final update is
    `where(mask, u, -p)` in the parameter's dtype. So a plain `optax.apply_updates` ends on the mask, whatever (finite)
    the parameters were.

    Args:
      inner: The optimizer, learning rate and gradient clipping included: nothing may follow in the chain.
      mask: Bool tree with the structure of the parameters. It is copied into the state at `init`; `update` reads the
        state alone. A leaf may be a scalar `True`: it is then never masked, so that its arithmetic is the inner
        optimizer's to the bit.

    Returns:
      A transform; `update` needs `params`.

    Raises:
      TypeError: At `init`, if the mask is not bool, a parameter is not an array, or the inner optimizer's state does
        not tell which of its arrays belong to which parameter (`optax.sm3`, `optax.lbfgs`, `optax.flatten`).
      ValueError: At `init`, if the mask does not fit the parameters.

    Example:
      >>> params = {'w': jnp.array([1.0, 2.0])}
      >>> tx = fixed_mask(optax.sgd(0.5), {'w': jnp.array([True, False])})
      >>> updates, _ = tx.update({'w': jnp.array([1.0, 1.0])}, tx.init(params), params)
      >>> optax.apply_updates(params, updates)['w'].tolist()
      [0.5, 0.0]
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> FixedMaskState:
        if is_placeholder(params):
            return FixedMaskState(params, inner.init(params))
        ensure_arrays(params)
        ensure_resettable(inner, params)
        copied = expand_mask(mask, params)
        return FixedMaskState(copied, inner.init(apply_mask(params, copied)))

    def update(
        updates: PyTree, state: FixedMaskState, params: PyTree | None = None, **extra: Any
    ) -> tuple[Any, FixedMaskState]:
        params = require_params(params, updates)
        effective = _with_given_scalars(state.mask)
        masked_params = apply_mask(params, effective)
        updates, moments = inner.update(apply_mask(updates, effective), state.inner, masked_params, **extra)
        moments = reset_moments(inner, moments, effective, masked_params)
        return project(updates, params, effective), FixedMaskState(state.mask, moments)

    def _with_given_scalars(copied: PyTree) -> PyTree:
        """Put scalars where the caller gave scalars."""
        given = jax.tree_util.tree_leaves_with_path(mask)
        scalars = {leaf_name(path) for path, leaf in given if not jnp.ndim(leaf)}

        def leaf(path: Any, kept: jax.Array) -> Any:
            return np.True_ if leaf_name(path) in scalars else kept

        return jax.tree_util.tree_map_with_path(leaf, copied)

    return optax.GradientTransformationExtraArgs(init, update)


def project(updates: PyTree, params: PyTree, mask: PyTree) -> PyTree:
    """Turn updates into updates that end on the mask, `where(mask, u, -p)`, in the parameters' dtypes.

    Example:
      >>> updates = {'w': jnp.array([0.5, 0.5])}
      >>> params = {'w': jnp.array([1.0, 2.0])}
      >>> project(updates, params, {'w': jnp.array([True, False])})['w'].tolist()
      [0.5, -2.0]
    """
    return jax.tree.map(lambda m, u, p: jnp.where(m, u.astype(p.dtype), -p), mask, updates, params)


def reset_moments(
    optimizer: optax.GradientTransformation, moments: optax.OptState, unchanged: PyTree, params: PyTree
) -> optax.OptState:
    """Give all weights but the unchanged ones the state with which the optimizer starts.

    That state is zero for most optimizers; for `optax.rprop`, say, it is the first step size. Arrays without one entry
    per weight (Adafactor's factored moments) are left as they are.
    """
    first = optimizer.init(apply_mask(params, unchanged))

    def mask_of_moment(moment: Any, mask: Any) -> Any:
        if isinstance(moment, optax.MaskedNode):
            return moment
        if not jnp.shape(mask) or jnp.shape(moment) != jnp.shape(mask):
            return _NOT_PER_WEIGHT
        return mask if jnp.issubdtype(moment.dtype, jnp.floating) else _NOT_PER_WEIGHT

    def reset(moment: Any, start: Any, mask: Any) -> Any:
        return moment if mask is _NOT_PER_WEIGHT else jnp.where(mask, moment, start)

    masks = optax.tree.map_params(
        optimizer,
        mask_of_moment,
        moments,
        unchanged,
        transform_non_params=lambda _: _NOT_PER_WEIGHT,
        is_leaf=_is_masked_node,
    )
    return jax.tree.map(reset, moments, first, masks)


_NOT_PER_WEIGHT = object()  # marks counters, factored moments, and all else that has no entry per weight


def ensure_resettable(optimizer: optax.GradientTransformation, params: PyTree) -> None:
    """Refuse an optimizer whose state does not tell which of its arrays belong to which parameter."""
    state = jax.eval_shape(optimizer.init, params)
    try:
        optax.tree.map_params(optimizer, lambda moment, _: moment, state, params, is_leaf=_is_masked_node)
    except Exception as error:  # whatever the optimizer's init raises for a placeholder
        raise TypeError(
            f"inner: this optimizer is not supported: in its state ({_kinds(state)}) moments cannot be told from other "
            "arrays; use one whose state optax.tree.map_params can read, such as optax.adamw or optax.sgd"
        ) from error


def require_params(params: PyTree | None, grads: PyTree) -> PyTree:
    """Return the parameters that `update` was given; refuse None, and gradients of other leaves or shapes."""
    if params is None:
        raise ValueError("params: got None; sparse transforms need the parameters: update(grads, state, params)")
    ensure_same_shapes(grads, params, "grads")
    return params


def ensure_arrays(params: PyTree) -> None:
    """Refuse parameters that are not arrays, naming the first."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
            raise TypeError(
                f"params: leaf {leaf_name(path)!r} is a {type(leaf).__name__}, expected an array; use jnp.asarray, or, "
                "for a module that holds functions too, pass its arrays alone (equinox.filter, flax.nnx.state)"
            )


def is_placeholder(params: PyTree) -> bool:
    """Tell whether `init` is called by `optax.tree.map_params`, which passes a placeholder without leaves."""
    return not jax.tree.leaves(params)


def _is_masked_node(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def _kinds(state: optax.OptState) -> str:
    """List the types of the records in an optimizer's state."""
    names: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, tuple) and hasattr(node, "_fields") and jax.tree.leaves(node):
            names.append(type(node).__name__)
        return False

    jax.tree.leaves(state, is_leaf=visit)
    return ", ".join(dict.fromkeys(names)) or type(state).__name__
