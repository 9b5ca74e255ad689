"""A packed ticket comes back bit for bit, is small, and is refused where it is not what was written."""

import hashlib
import io
import zipfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax import sparsity
from lpjax.errors import UserError
from lpjax.interop.mask_coding import entropy_bits
from lpjax.interop.packed import pack, read_packed, read_packed_file, unpack, write_packed
from lpjax.types import Ticket, Variables


def drawn(shape, density, seed=0, dtype=np.float32):
    draws = np.random.default_rng(seed)
    mask = draws.random(shape) < density
    return np.where(mask, draws.normal(size=shape), 0).astype(dtype), mask


def ticket_of(**leaves):
    params = {name: values for name, (values, _) in leaves.items()}
    return Ticket(params, {name: mask for name, (_, mask) in leaves.items()})


def same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert ours.tobytes() == theirs.tobytes()


@given(st.integers(0, 40), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_any_mask_comes_back_with_its_values(rows, columns, density, seed):
    ticket = ticket_of(kernel=drawn((rows, columns), density, seed), bias=drawn((columns,), 1.1, seed))
    same_bits(unpack(pack(ticket)).ticket, ticket)


def test_a_network_with_batch_statistics_comes_back(make_ticket, tmp_path):
    ticket = make_ticket(kept=300)
    path = tmp_path / "new" / "ticket.lpz"
    write_packed(path, ticket, prunable=sparsity.convolution_kernels)
    same_bits(read_packed(path), ticket)
    flags = read_packed_file(path).prunable
    wanted = sparsity.prunable_leaves(ticket.params, sparsity.convolution_kernels)
    assert jax.tree.leaves(flags) == wanted
    assert isinstance(flags, Variables)


LEAVES = {
    "nothing kept": (np.zeros((3, 4), np.float32), np.zeros((3, 4), bool)),
    "everything kept": (np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((3, 4), bool)),
    "a kept zero": (np.zeros((2, 2), np.float32), np.eye(2, dtype=bool)),
    "a number": (np.float32(2.5), np.bool_(True)),
    "no weights": (np.zeros((0, 3), np.float32), np.ones((0, 3), bool)),
    "integers": (np.array([1, -2]), np.ones(2, bool)),
    "bools": (np.array([True, False]), np.ones(2, bool)),
    "float64": drawn((5, 5), 0.4, dtype=np.float64),
    "float16": drawn((5, 5), 0.4, dtype=np.float16),
    "bfloat16": drawn((5, 5), 0.4, dtype=ml_dtypes.bfloat16),
    "infinities": (np.array([[np.inf, np.nan]], np.float32), np.ones((1, 2), bool)),
    "another byte order": (np.array([[1.5, 2.5]], ">f4"), np.ones((1, 2), bool)),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_leaf_comes_back(name):
    values, mask = LEAVES[name]
    kernel = drawn((3, 3), 0.5)
    back = unpack(pack(ticket_of(kernel=kernel, leaf=(values, mask)))).ticket
    native = values.astype(values.dtype.newbyteorder("=")) if values.dtype.byteorder == ">" else values
    same_bits(back, ticket_of(kernel=kernel, leaf=(native, mask)))


@given(st.integers(0, 99))
def test_values_of_a_prunable_leaf_of_any_float_dtype_come_back(seed):
    for dtype in (np.float64, np.float16, ml_dtypes.bfloat16):
        ticket = ticket_of(kernel=drawn((5, 5), 0.4, seed, dtype))
        same_bits(unpack(pack(ticket)).ticket, ticket)


class Layer(NamedTuple):
    kernel: jax.Array
    scales: tuple


def test_other_containers_come_back_by_the_network_they_should_fit(tmp_path):
    params = {"layer": Layer(jnp.eye(3), (jnp.ones(2), jnp.zeros(1))), "0": [jnp.ones((2, 2), jnp.bfloat16)]}
    mask = jax.tree.map(lambda leaf: leaf != 0, params)
    write_packed(tmp_path / "ticket.lpz", Ticket(params, mask))
    same_bits(read_packed(tmp_path / "ticket.lpz", like=params), Ticket(params, mask))
    plain = read_packed(tmp_path / "ticket.lpz").params
    assert isinstance(plain["0"], list)
    assert sorted(plain["layer"]) == ["kernel", "scales"]


def test_parameters_alone_can_be_read_of_a_network_with_statistics(make_ticket, tmp_path):
    ticket = make_ticket(kept=300)
    write_packed(tmp_path / "ticket.lpz", ticket)
    same_bits(read_packed(tmp_path / "ticket.lpz", like=ticket.params.params).params, ticket.params.params)


def test_a_ticket_of_another_network_is_refused(make_ticket, tmp_path):
    write_packed(tmp_path / "ticket.lpz", make_ticket(kept=300))
    with pytest.raises(ValueError, match="architecture"):
        read_packed(tmp_path / "ticket.lpz", like=make_ticket(classes=4).params)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_lower_precision_rounds_kept_values_of_prunable_leaves_alone(dtype):
    ticket = ticket_of(kernel=drawn((40, 30), 0.3), bias=drawn((30,), 1.1))
    back = unpack(pack(ticket, dtype=dtype)).ticket
    rounded = ticket.params["kernel"].astype(np.dtype(dtype)).astype(np.float32)
    same_bits(back, Ticket({**ticket.params, "kernel": rounded}, ticket.mask))
    assert (rounded != ticket.params["kernel"]).any()


def test_values_too_large_for_float16_are_refused():
    ticket = ticket_of(kernel=(np.full((2, 2), 1e5, np.float32), np.ones((2, 2), bool)))
    with pytest.raises(UserError, match="dtype"):
        pack(ticket, dtype="float16")
    same_bits(unpack(pack(ticket, dtype="bfloat16")).ticket.mask, ticket.mask)


def test_what_is_no_ticket_is_refused():
    kernel = np.ones((2, 2), np.float32)
    dense = (kernel, kernel == 1)
    with pytest.raises(ValueError, match="outside its mask"):
        pack(ticket_of(kernel=(kernel, kernel != 1)))
    with pytest.raises(ValueError, match="dtype"):
        pack(ticket_of(kernel=dense, name=(np.array(["a"]), np.ones(1, bool))))
    with pytest.raises(ValueError, match="cannot pack"):
        pack(ticket_of(kernel=dense, key=(jax.random.key(0), np.ones((), bool))))
    with pytest.raises(ValueError, match="cannot pack a tree with the key"):
        pack(Ticket({("a", "b"): {"kernel": kernel}}, {("a", "b"): {"kernel": kernel == 1}}))
    with pytest.raises(UserError, match="dtype"):
        pack(ticket_of(kernel=dense), dtype="int8")


def test_provenance_comes_back_and_the_bytes_are_the_same_every_time():
    ticket = ticket_of(kernel=drawn((5, 5), 0.5))
    known = {"method": "interpolation", "seed": 3, "steps": [{"level": 2, "coefficient": 0.25}]}
    content = pack(ticket, provenance=known)
    assert unpack(content).provenance == known
    assert pack(ticket, provenance=known) == content


@pytest.fixture(scope="module")
def content():
    return pack(ticket_of(kernel=drawn((9, 9), 0.3)))


def test_every_flipped_byte_is_refused(content):
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(UserError):
            unpack(bytes(damaged))


def test_every_truncation_is_refused(content):
    for length in range(len(content)):
        with pytest.raises(UserError):
            unpack(content[:length])


def test_a_later_version_is_refused_by_its_number(content):
    later = bytearray(content[:-32])
    later[8] = 2
    later += hashlib.sha256(later).digest()
    with pytest.raises(UserError, match=r"version 2, expected 1"):
        unpack(bytes(later))


def test_a_damaged_file_is_refused_by_its_name_in_one_line(content, tmp_path):
    path = tmp_path / "ticket.lpz"
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"ticket\.lpz.*damaged") as refused:
        read_packed(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"other\.lpz"):
        read_packed(tmp_path / "other.lpz")


@pytest.mark.parametrize("density", [0.02, 0.05, 0.1, 0.2, 0.5])
def test_a_packed_leaf_is_within_two_percent_of_the_entropy_bound(density):
    """The bound is `H(d) + 32 d` bits a weight; a bit mask takes `1 + 32 d`, and a dense file in a zip more."""
    values, mask = drawn((500, 400), density)
    size = len(pack(ticket_of(kernel=(values, mask))))
    bound = (entropy_bits(mask) + 32 * np.count_nonzero(mask)) / 8
    assert bound < size <= 1.02 * bound + 300
    assert size <= (mask.size + 32 * np.count_nonzero(mask)) / 8 + 300
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("kernel", values.tobytes())
    assert size < len(archive.getvalue())


def test_half_the_precision_takes_half_the_bytes_of_values():
    ticket = ticket_of(kernel=drawn((300, 300), 0.5))
    kept = np.count_nonzero(ticket.mask["kernel"])
    assert len(pack(ticket)) - len(pack(ticket, dtype="bfloat16")) == pytest.approx(2 * kept, abs=8)
