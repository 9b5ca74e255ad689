"""A ticket in one small file: a description, the mask in few bits, and the kept values alone.

```
8 bytes    LPTICKET
4 bytes    version of the format, unsigned, little-endian
8 bytes    length of the header, likewise
header     JSON, compressed by zlib: leaves with their paths, shapes, dtypes and codings; provenance
content    per leaf in this order: the mask (see `mask_coding`), then its kept values in C order, little-endian
32 bytes   SHA-256 of everything before
```
Nothing in it is executed. The same ticket and provenance give the same bytes.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_dtypes  # registers bfloat16 with NumPy
import numpy as np

from lpjax import sparsity, store
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop.files import naming
from lpjax.interop.mask_coding import Coding, decode_mask, encode_mask
from lpjax.types import PyTree, Ticket, Variables

DTYPES = ("float32", "float16", "bfloat16")
SUFFIX = ".lpz"
_MAGIC = b"LPTICKET"
_VERSION = 1
_START = struct.Struct("<8sIQ")
_SEAL_BYTES = 32


class Packed(NamedTuple):
    """The contents of a packed ticket.

    Attributes:
      ticket: In numpy arrays; its weights are zero outside its mask.
      prunable: A tree of bools like the parameters: which leaves count.
      provenance: Where the ticket comes from, as it was written.
    """

    ticket: Ticket
    prunable: PyTree
    provenance: dict[str, Any]


def write_packed(
    path: Path,
    ticket: Ticket,
    *,
    prunable: sparsity.Prunable = sparsity.kernels,
    dtype: str = "float32",
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a ticket as a packed file, atomically.

    A prunable leaf of `N` weights of density `d` takes about `N (H(d) + 32 d)` bits in float32, where `H` is the binary
    entropy; the best that a list of independent weights can do.

    Args:
      path: The file; its directory is created if need be.
      ticket: Of any tree of numeric arrays.
      prunable: Which leaves count: a predicate or a tree of bools. Their kept values are rounded to `dtype`.
      dtype: `'float32'` changes no value: what is read back is the same bit for bit, in every leaf's own dtype.
        `'float16'` and `'bfloat16'` round kept values of prunable leaves to the nearest; all other leaves stay whole.
      provenance: What else to write: JSON values by name.

    Raises:
      UserError: If the dtype is unknown, or a value is too large for it.
      ValueError: If the mask does not fit, a weight outside it is not zero, or a leaf is no array of numbers.
      StorageError: If the disk refuses.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'ticket.lpz'
      >>> weights = np.array([[0.0, 2.5], [0.0, 0.0]], np.float32)
      >>> write_packed(path, Ticket({'kernel': weights}, {'kernel': weights != 0}))
      >>> read_packed(path).params['kernel'].tolist()
      [[0.0, 2.5], [0.0, 0.0]]
    """
    store.write_bytes(path, pack(ticket, prunable=prunable, dtype=dtype, provenance=provenance))


def read_packed(path: Path, like: PyTree | None = None) -> Ticket:
    """Read the ticket of a packed file.

    Args:
      path: What `write_packed` wrote.
      like: The parameters of the network it should fit, or their shapes; `Variables` for a network with statistics.
        Needed where parameters are not nested dicts and lists, or have empty ones.

    Returns:
      The ticket, in numpy arrays. Its mask mirrors its parameters.

    Raises:
      UserError: If the file is damaged, cut off, of a later version, or no packed ticket.
      ValueError: If the ticket belongs to another network than `like`.
    """
    ticket = read_packed_file(path).ticket
    if like is None:
        return ticket
    if isinstance(ticket.params, Variables) and not isinstance(like, Variables):
        ticket = Ticket(ticket.params.params, ticket.mask.params)
    sparsity.ensure_same_structure(ticket.params, like, f"ticket of {path}")
    return Ticket(sparsity.rebuild(ticket.params, like), sparsity.rebuild(ticket.mask, like))


def read_packed_file(path: Path) -> Packed:
    """Read a packed file with what it says of its ticket."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a file of a packed ticket") from error
    with naming(path):
        return unpack(content)


def pack(
    ticket: Ticket,
    *,
    prunable: sparsity.Prunable = sparsity.kernels,
    dtype: str = "float32",
    provenance: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the bytes of a packed file; see `write_packed`."""
    one_of("dtype", dtype, DTYPES)
    sparsity.ensure_fits(ticket.mask, ticket.params)
    flags = sparsity.prunable_leaves(ticket.params, prunable)
    masks = jax.tree.leaves(ticket.mask)
    leaves = []
    content = []
    for (path, leaf), mask, counted in zip(_leaves(ticket.params), masks, flags, strict=True):
        description, octets = _pack_leaf(path, leaf, mask, counted, dtype)
        leaves.append(description)
        content += octets
    record = {
        "variables": isinstance(ticket.params, Variables),
        "leaves": leaves,
        "provenance": dict(provenance or {}),
    }
    header = zlib.compress(json.dumps(record, separators=(",", ":")).encode(), 9)
    body = b"".join([_START.pack(_MAGIC, _VERSION, len(header)), header, *content])
    return body + hashlib.sha256(body).digest()


def unpack(content: bytes) -> Packed:
    """Read the bytes of a packed file; see `read_packed`."""
    record, position = _checked_header(content)
    params: dict[Any, Any] = {}
    masks: dict[Any, Any] = {}
    prunable: dict[Any, Any] = {}
    for leaf in record["leaves"]:
        size = int(np.prod(leaf["shape"], dtype=np.int64))
        end = position + leaf["mask_bytes"]
        mask = decode_mask(Coding(*leaf["mask"]), content[position:end], size)
        kept = int(np.count_nonzero(mask))
        stored = np.frombuffer(content, np.dtype(leaf["values"]), kept, end)
        position = end + stored.nbytes
        values = np.zeros(size, np.dtype(leaf["dtype"]))
        values[mask] = stored.astype(values.dtype)
        _insert(params, leaf["path"], values.reshape(leaf["shape"]))
        _insert(masks, leaf["path"], mask.reshape(leaf["shape"]))
        _insert(prunable, leaf["path"], leaf["prunable"])
    trees = [_with_lists(tree) for tree in (params, masks, prunable)]
    if record["variables"]:
        trees = [Variables(tree.get("params", {}), tree.get("stats", {})) for tree in trees]
    else:
        trees = [tree["params"] for tree in trees]
    return Packed(Ticket(trees[0], trees[1]), trees[2], record["provenance"])


def round_values(name: str, values: np.ndarray, dtype: str) -> np.ndarray:
    """Round floating-point values to a narrower dtype; values of other dtypes, or as narrow, are left as they are.

    Raises:
      UserError: If a finite value becomes infinite.
    """
    target = np.dtype(dtype)
    if not np.issubdtype(values.dtype, np.floating) or values.dtype.itemsize <= target.itemsize or dtype == "float32":
        return values
    largest = float(ml_dtypes.finfo(target).max)
    with np.errstate(over="ignore"):  # told below
        rounded = values.astype(target)
    lost = np.isfinite(values) & ~np.isfinite(rounded.astype(np.float32))
    if lost.any():
        raise UserError(
            f"dtype: got {dtype}, but {name!r} holds {values[lost][0]:.4g}, more than {largest:.4g}; use bfloat16 or "
            "float32"
        )
    return rounded


def _leaves(params: PyTree) -> list[tuple[list[str | int], np.ndarray]]:
    """List paths, which begin with `params` or `stats`, and arrays on the host."""
    tree = params._asdict() if isinstance(params, Variables) else {"params": params}
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        try:
            host = np.asarray(jax.device_get(leaf))
        except TypeError as error:
            raise ValueError(f"cannot pack {sparsity.leaf_name(path)!r}: {error}") from error
        if host.dtype.kind in "OSUMm":
            raise ValueError(f"cannot pack {sparsity.leaf_name(path)!r}: values of dtype {host.dtype}")
        found.append(([_key(entry) for entry in path], host.astype(np.dtype(host.dtype.name))))
    return found


def _key(entry: Any) -> str | int:
    for attribute in ("key", "idx", "name"):
        key = getattr(entry, attribute, None)
        if isinstance(key, str | int):
            return key
    raise ValueError(
        f"cannot pack a tree with the key {entry}; use lists, named tuples, or dicts whose keys are strings or integers"
    )


def _pack_leaf(
    path: list[str | int], leaf: np.ndarray, mask: Any, prunable: bool, dtype: str
) -> tuple[dict[str, Any], list[bytes]]:
    """Return the description of a leaf, and the bytes of its mask and of its values."""
    name = "/".join(map(str, path[1:]))
    flat = leaf.ravel()
    host = np.broadcast_to(np.asarray(jax.device_get(mask), bool), leaf.shape).ravel()
    if np.any(flat[~host]):
        raise ValueError(f"cannot pack {name!r}: weights outside its mask are not zero; apply_mask sets them to zero")
    coding, mask_content = encode_mask(host)
    values = flat[host]
    if prunable:
        values = round_values(name, values, dtype)
    description = {
        "path": path,
        "shape": leaf.shape,
        "dtype": leaf.dtype.name,
        "prunable": bool(prunable),
        "mask": coding,
        "mask_bytes": len(mask_content),
        "values": values.dtype.name,
    }
    return description, [mask_content, values.tobytes()]


def _checked_header(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the header of whole and sealed bytes, and where their content begins."""
    if len(content) < _START.size + _SEAL_BYTES or not content.startswith(_MAGIC):
        raise UserError("got no packed ticket, expected a file that lpjax exported; export it again")
    body = content[:-_SEAL_BYTES]
    if hashlib.sha256(body).digest() != content[-_SEAL_BYTES:]:
        raise UserError("got other bytes than were written: the file is damaged or cut off; copy or export it again")
    _, version, length = _START.unpack_from(content)
    if version != _VERSION:
        raise UserError(f"format: got version {version}, expected {_VERSION}; update lpjax, or export it again")
    start = _START.size + length
    return json.loads(zlib.decompress(content[_START.size : start])), start


def _insert(tree: dict[Any, Any], path: list[str | int], leaf: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = leaf


def _with_lists(tree: Any) -> Any:
    """Turn dicts whose keys are 0, 1, ... into lists."""
    if not isinstance(tree, dict):
        return tree
    nodes = {key: _with_lists(node) for key, node in tree.items()}
    if nodes and list(nodes) == list(range(len(nodes))):
        return list(nodes.values())
    return nodes
