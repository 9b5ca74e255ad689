import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from lpjax.metrics import Storage, storage


def test_a_small_leaf_is_counted_by_hand():
    mask = jnp.zeros((3, 3, 2, 5), bool).at[0, 0, 0, :3].set(True)  # 90 weights, 3 alive, rows of 18
    assert storage({"w": mask}) == Storage(dense=360, bitmask=12 + 12, csr=3 * 4 + 3 * 2 + 6 * 2)
    assert storage({"w": mask}, bytes_per_value=2) == Storage(dense=180, bitmask=6 + 12, csr=3 * 2 + 3 * 2 + 6 * 2)


def test_leaves_add_up_and_what_is_never_pruned_is_left_out():
    leaf = jnp.eye(5, dtype=bool)
    one, both = storage({"w": leaf}), storage({"w": leaf, "v": leaf, "scale": jnp.ones(5, bool)})
    assert both == tuple(2 * count for count in one)
    with pytest.raises(ValueError, match="prunable"):
        storage({"scale": jnp.ones(5, bool)})


@pytest.mark.parametrize(("columns", "width"), [(2**16, 2), (2**16 + 1, 4)])
def test_columns_are_as_wide_as_the_last_needs(columns, width):
    mask = np.zeros((columns, 1), bool)
    mask[0] = True
    assert storage({"w": mask}).csr == 4 + width + 2 * 2


@pytest.mark.parametrize(("kept", "width"), [(2**16 - 1, 2), (2**16, 4)])
def test_row_beginnings_are_as_wide_as_the_count_needs(kept, width):
    mask = np.arange(2**17).reshape(-1, 4) < kept
    assert storage({"w": mask}).csr == kept * (4 + 2) + 5 * width


@given(hnp.arrays(bool, st.sampled_from([(4, 3), (2, 2, 3, 4)])))
def test_rows_are_those_of_scipy_s_matrices(mask):
    matrix = sparse.csr_array(mask.reshape(-1, mask.shape[-1]).T.astype(np.float32))
    expected = 4 * matrix.data.size + 2 * matrix.indices.size + 2 * matrix.indptr.size
    assert storage({"w": mask}).csr == expected
