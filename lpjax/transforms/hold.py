"""Training inside a mask, as an optax transform."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lpjax.sparsity import apply_mask, ensure_fits

PyTree = Any


class HoldState(NamedTuple):
    """The mask, carried as data so that one compiled step serves every mask.

    Attributes:
      mask: Total bool tree.
      inner: State of the wrapped transform.
    """

    mask: PyTree
    inner: optax.OptState


def hold(inner: optax.GradientTransformation, mask: PyTree) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimizer so that parameters and moments are zero outside a mask after every update.

    Gradients and parameters are masked on the way in, moments on the way out, and the update that leaves is
    `where(mask, u, -p)` in the parameter's dtype, so a plain `optax.apply_updates` lands on the mask whatever (finite)
    the parameters were.

    Args:
      inner: The optimizer, learning rate included: nothing may follow in the chain.
      mask: Total bool tree with the structure of the parameters. It enters the state at `init`; `update` reads the
        state alone.

    Returns:
      A transform; `update` needs `params`.

    Raises:
      ValueError: At `init`, if the mask does not fit the parameters.

    Example:
      >>> params = {'w': jnp.array([1.0, 2.0])}
      >>> tx = hold(optax.sgd(0.5), {'w': jnp.array([True, False])})
      >>> updates, _ = tx.update({'w': jnp.array([1.0, 1.0])}, tx.init(params), params)
      >>> optax.apply_updates(params, updates)['w'].tolist()
      [0.5, 0.0]
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> HoldState:
        if not jax.tree.leaves(params):  # optax.tree.map_params asks with a placeholder where parameters will be
            return HoldState(mask, inner.init(params))
        ensure_fits(mask, params)
        return HoldState(mask, inner.init(apply_mask(params, mask)))

    def update(updates: PyTree, state: HoldState, params: PyTree | None = None, **extra: Any) -> tuple[Any, HoldState]:
        if params is None:
            raise ValueError("hold needs the parameters; call update(grads, state, params)")
        masked_updates, masked_params = (apply_mask(tree, state.mask) for tree in (updates, params))
        updates, inner_state = inner.update(masked_updates, state.inner, masked_params, **extra)
        return land(updates, params, state.mask), HoldState(state.mask, forget(inner, inner_state, state.mask))

    return optax.GradientTransformationExtraArgs(init, update)


def land(updates: PyTree, params: PyTree, mask: PyTree) -> PyTree:
    """Makes updates that end on the mask, `where(mask, u, -p)`, whatever the parameters were.

    Args:
      updates: What the optimizer wants.
      params: Parameters, finite.
      mask: A total mask.

    Returns:
      Updates in the parameters' dtypes, for `optax.apply_updates`.

    Example:
      >>> updates, params = ({'w': jnp.array(values)} for values in ([0.5, 0.5], [1.0, 2.0]))
      >>> land(updates, params, {'w': jnp.array([True, False])})['w'].tolist()
      [0.5, -2.0]
    """
    return jax.tree.map(lambda m, u, p: jnp.where(m, u.astype(p.dtype), -p), mask, updates, params)


def forget(optimizer: optax.GradientTransformation, moments: optax.OptState, stay: PyTree) -> optax.OptState:
    """Zeroes moments outside a mask.

    Args:
      optimizer: Whose.
      moments: Its state. Factored moments have other shapes than parameters, and are kept.
      stay: A total mask.

    Returns:
      The state, changed.
    """

    def leaf(moment: Any, mask: Any) -> Any:
        if isinstance(moment, optax.MaskedNode) or jnp.shape(moment) != jnp.shape(mask):
            return moment
        return jnp.where(mask, moment, jnp.zeros((), moment.dtype))

    def masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return optax.tree.map_params(optimizer, leaf, moments, stay, is_leaf=masked)
