"""A mask in few bytes: one bit per weight, or Golomb-Rice codes of the gaps between the rarer of its two values."""

from typing import NamedTuple

import numpy as np

_LARGEST_PARAMETER = 40


class Coding(NamedTuple):
    """How the bytes of a mask are read.

    Attributes:
      kind: `'bits'` or `'rice'`.
      coded: The value whose places are coded, the rarer one; True for `'bits'`.
      places: How often the mask has that value.
      parameter: Low bits of each gap that are stored as they are; 0 for `'bits'`.
    """

    kind: str
    coded: bool
    places: int
    parameter: int


def encode_mask(mask: np.ndarray) -> tuple[Coding, bytes]:
    """Encode a mask in the smaller of two ways.

    `'bits'` takes `ceil(N / 8)` bytes. `'rice'` codes every gap `g`, the number of weights between two coded places, as
    `g >> k` in unary and its `k` low bits: all unary codes first, then all low bits, each part padded to bytes. For
    many independent weights it takes at most 1.042 times their entropy, `N H(d)` bits. A mask of one value takes no
    byte.

    Args:
      mask: Bool, of any shape; `N` values, in C order.

    Returns:
      The coding, which `decode_mask` needs, and the bytes.

    Example:
      >>> coding, content = encode_mask(np.arange(1000) % 100 == 7)
      >>> coding, len(content)
      (Coding(kind='rice', coded=True, places=10, parameter=6), 11)

    References:
      Golomb, IEEE Transactions on Information Theory 1966; Rice and Plaunt, IEEE Transactions on Communications 1971.
    """
    flat = np.asarray(mask, bool).ravel()
    coded = bool(2 * np.count_nonzero(flat) <= flat.size)
    places = np.flatnonzero(flat == coded)
    gaps = np.diff(places, prepend=-1) - 1
    parameter = _best_parameter(gaps)
    unary = np.zeros(int(np.sum((gaps >> parameter) + 1)), bool)
    unary[np.cumsum((gaps >> parameter) + 1) - 1] = True
    low_bits = gaps[:, None] >> np.arange(parameter)[::-1] & 1
    content = np.packbits(unary).tobytes() + np.packbits(low_bits.astype(bool)).tobytes()
    as_bits = np.packbits(flat).tobytes()
    if len(as_bits) < len(content):
        return Coding("bits", True, int(np.count_nonzero(flat)), 0), as_bits
    return Coding("rice", coded, len(places), parameter), content


def decode_mask(coding: Coding, content: bytes, size: int) -> np.ndarray:
    """Decode what `encode_mask` returned.

    Args:
      coding: From `encode_mask`.
      content: Its bytes.
      size: Number of weights.

    Returns:
      The mask `[size]`.

    Raises:
      ValueError: If the bytes are no such code.
    """
    octets = np.frombuffer(content, np.uint8)
    if coding.kind == "bits":
        return np.unpackbits(octets, count=size).astype(bool)
    if coding.kind != "rice":
        raise ValueError(f"got a mask in the coding {coding.kind!r}, expected bits or rice")
    low_bytes = -(-coding.places * coding.parameter // 8)
    unary = np.flatnonzero(np.unpackbits(octets[: octets.size - low_bytes]))
    if len(unary) != coding.places:
        raise ValueError(f"got the places of {len(unary)} weights, expected {coding.places}")
    low_bits = np.unpackbits(octets[octets.size - low_bytes :], count=coding.places * coding.parameter)
    weights = 1 << np.arange(coding.parameter, dtype=np.int64)[::-1]
    low = low_bits.reshape(coding.places, coding.parameter) @ weights
    quotients = np.diff(unary, prepend=-1) - 1
    places = np.cumsum((quotients << coding.parameter) + low + 1) - 1
    mask = np.full(size, not coding.coded)
    mask[places] = coding.coded
    return mask


def entropy_bits(mask: np.ndarray) -> float:
    """Compute `N H(d)`, the bits that a mask of independent weights of density `d` takes at least.

    Example:
      >>> round(entropy_bits(np.arange(1000) % 10 == 0))
      469
    """
    size = np.size(mask)
    kept = np.count_nonzero(mask)
    bits = 0.0
    for count in (kept, size - kept):
        if count:
            bits -= count * np.log2(count / size)
    return float(bits)


def _best_parameter(gaps: np.ndarray) -> int:
    """Find the number of low bits with which gaps take the fewest bits."""
    best = 0
    for parameter in range(1, _LARGEST_PARAMETER):
        if _rice_bits(gaps, parameter) >= _rice_bits(gaps, best):
            break
        best = parameter
    return best


def _rice_bits(gaps: np.ndarray, parameter: int) -> int:
    return int(np.sum((gaps >> parameter) + 1)) + parameter * len(gaps)
