"""The table of what is pruned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.sparsity import summary

PARAMS = {"blocks": {"bias": np.zeros((3, 4)), "kernel": np.zeros((3, 50, 20))}, "head": {"kernel": np.zeros((4, 2))}}


def cells(table):
    """The cells of every line: columns are two spaces or more apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]


def test_every_leaf_has_a_line_with_its_path_shape_size_and_whether_it_is_pruned():
    assert cells(summary(PARAMS))[1:-1] == [
        ["blocks/bias", "(3, 4)", "12", "no"],
        ["blocks/kernel", "(3, 50, 20)", "3,000", "yes"],
        ["head/kernel", "(4, 2)", "8", "yes"],
    ]
    assert "3,008 of 3,020" in summary(PARAMS)
    assert "2 of 3" in summary(PARAMS)


def test_a_mask_adds_what_is_kept_and_the_density():
    mask = {
        "blocks": {"bias": np.True_, "kernel": np.arange(3000).reshape(3, 50, 20) < 750},
        "head": {"kernel": np.eye(4, 2, dtype=bool)},
    }
    table = summary(PARAMS, mask)
    assert cells(table)[2][-2:] == ["750", "0.2500"]
    assert cells(table)[3][-2:] == ["2", "0.2500"]
    assert "kept: 752, density 0.2500" in table


def test_stacked_layers_are_said():
    assert "3 layers" in summary(PARAMS, stacked=lambda path, leaf: path == "blocks/kernel")
    assert "layers" not in summary(PARAMS)


def test_shapes_suffice():
    assert summary(jax.eval_shape(lambda: jax.tree.map(jnp.asarray, PARAMS))) == summary(PARAMS)


def test_what_is_pruned_may_be_said():
    lines = cells(summary(PARAMS, prunable=lambda path, leaf: path == "blocks/bias"))
    assert [line[3] for line in lines[1:4]] == ["yes", "no", "no"]


def test_a_mask_that_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match=r"mask: .*head/kernel"):
        summary(PARAMS, {"blocks": {"bias": np.True_, "kernel": np.True_}, "head": {"kernel": np.ones((2, 4), bool)}})
