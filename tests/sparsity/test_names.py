"""Names of leaves, and trees compared by them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax.sparsity import ensure_same_shapes, ensure_same_structure, named_leaves, rebuild
from lpjax.types import Variables

WANTED = {"layer1_0": {"conv1": {"kernel": jnp.zeros((3, 3, 32, 32))}}, "dense": {"bias": jnp.zeros(10)}}


def changed(**leaves):
    return WANTED | {name: leaf for name, leaf in leaves.items() if leaf is not None}


def test_leaves_are_named_by_their_path():
    assert list(named_leaves(WANTED)) == ["dense/bias", "layer1_0/conv1/kernel"]


def test_the_same_structure_passes_whatever_the_containers_and_values():
    ensure_same_structure({"params": np.ones((2, 3), np.float32), "stats": 1}, Variables(jnp.zeros((2, 3)), 0), "it")
    ensure_same_structure(WANTED, jax.eval_shape(lambda: WANTED), "ticket")


@pytest.mark.parametrize(
    ("got", "name", "field"),
    [
        (
            changed(layer1_0={"conv1": {"kernel": jnp.zeros((3, 3, 16, 16))}}),
            "layer1_0/conv1/kernel",
            r"\(3, 3, 16, 16\).*\(3, 3, 32, 32\)",
        ),
        ({"dense": {"bias": jnp.zeros(10)}}, "layer1_0/conv1/kernel", ""),
        (changed(head={"bias": jnp.zeros(10)}), "head/bias", ""),
        (changed(dense={"bias": jnp.zeros(10, jnp.bfloat16)}), "dense/bias", "bfloat16.*float32"),
    ],
)
def test_the_first_leaf_that_differs_is_named(got, name, field):
    with pytest.raises(ValueError, match=rf"^ticket of level 3 .*'{name}'.*{field}"):
        ensure_same_structure(got, WANTED, "ticket of level 3")


@pytest.mark.parametrize(
    ("got", "name"),
    [
        (changed(layer1_0={"conv1": {"kernel": jnp.zeros((3, 3, 16, 16))}}), "layer1_0/conv1/kernel"),
        (changed(layer1_0={"conv1": {"kernel": None}}), "layer1_0/conv1/kernel"),
        ({"dense": {"bias": jnp.zeros(10)}}, "layer1_0/conv1/kernel"),
        (changed(head={"bias": jnp.zeros(10)}), "head/bias"),
        (changed(dense={"bias": jnp.zeros(1)}), "dense/bias"),
    ],
)
def test_shapes_are_compared_leaf_by_leaf_and_nothing_is_broadcast(got, name):
    ensure_same_shapes(changed(dense={"bias": jnp.zeros(10, jnp.bfloat16)}), WANTED, "grads")
    with pytest.raises(ValueError, match=rf"^grads: .*'{name}'"):
        ensure_same_shapes(got, WANTED, "grads")


def test_other_containers_with_the_same_leaves_have_not_the_same_shape():
    with pytest.raises(ValueError, match=r"^candidate: "):
        ensure_same_shapes(
            Variables(jnp.zeros(2), jnp.zeros(2)), {"params": jnp.zeros(2), "stats": jnp.zeros(2)}, "candidate"
        )


def test_leaves_find_their_place_in_other_containers():
    state = optax.adam(0.1).init({"w": jnp.zeros(2)})
    leaves = {name: number for number, name in enumerate(named_leaves(state))}
    got = rebuild({"0": {"mu": {"w": 1}, "nu": {"w": 2}, "count": 0}}, like=state)
    assert jax.tree.structure(got) == jax.tree.structure(state)
    assert jax.tree.leaves(got) == list(leaves.values())
