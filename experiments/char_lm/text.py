"""Text that ships with Python: the topics of its `help()`, as characters."""

from pydoc_data.topics import topics
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HELD_OUT = 0.1
"""The share of the text that is kept for validation, and again for test."""


class Text(NamedTuple):
    """Contiguous 80, 10 and 10 % of one text, `[N]` int32 indices into the alphabet, its sorted characters."""

    train: jax.Array
    validation: jax.Array
    test: jax.Array
    alphabet: str


def load() -> Text:
    """Read the topics in alphabetical order and split the text."""
    text = "".join(topics[name] for name in sorted(topics))
    alphabet = "".join(sorted(set(text)))
    index = {character: i for i, character in enumerate(alphabet)}
    tokens = np.array([index[character] for character in text], np.int32)
    held_out = int(HELD_OUT * len(tokens))
    train, validation, test = np.split(tokens, [len(tokens) - 2 * held_out, len(tokens) - held_out])
    return Text(jnp.asarray(train), jnp.asarray(validation), jnp.asarray(test), alphabet)


def windows(tokens: jax.Array, context: int) -> jax.Array:
    """Cut a stretch into consecutive windows, each of which shares its last character with the next one's first."""
    count = (tokens.size - 1) // context
    starts = context * jnp.arange(count)
    return tokens[starts[:, None] + jnp.arange(context + 1)]
