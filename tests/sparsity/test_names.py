import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax.sparsity import ensure_same_structure, named_leaves, rebuild
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
    ("got", "message"),
    [
        (
            changed(layer1_0={"conv1": {"kernel": jnp.zeros((3, 3, 16, 16))}}),
            (
                "ticket of level 3 has 'layer1_0/conv1/kernel' of shape (3, 3, 16, 16), wanted (3, 3, 32, 32): "
                "it belongs to another architecture"
            ),
        ),
        (
            {"dense": {"bias": jnp.zeros(10)}},
            "ticket of level 3 has no 'layer1_0/conv1/kernel': it belongs to another architecture",
        ),
        (
            changed(head={"bias": jnp.zeros(10)}),
            "ticket of level 3 has 'head/bias', which is not wanted: it belongs to another architecture",
        ),
        (
            changed(dense={"bias": jnp.zeros(10, jnp.bfloat16)}),
            "ticket of level 3 has 'dense/bias' of dtype bfloat16, wanted float32: convert it",
        ),
    ],
)
def test_the_first_leaf_that_differs_is_named(got, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        ensure_same_structure(got, WANTED, "ticket of level 3")
    assert str(caught.value) == message


def test_leaves_find_their_place_in_other_containers():
    state = optax.adam(0.1).init({"w": jnp.zeros(2)})
    leaves = {name: number for number, name in enumerate(named_leaves(state))}
    got = rebuild({"0": {"mu": {"w": 1}, "nu": {"w": 2}, "count": 0}}, like=state)
    assert jax.tree.structure(got) == jax.tree.structure(state)
    assert jax.tree.leaves(got) == list(leaves.values())
