"""Text that ships with Python: the topics of its `help()`, as characters."""

from pydoc_data.topics import topics
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HELD_OUT = 0.1
"""The share of the text that is kept for validation, and again for test."""


class Text(NamedTuple):
    """Three contiguous stretches of one text, as indices into an alphabet.

    Attributes:
      train: The first 80 %, `[N]` int32.
      validation: The next 10 %.
      test: The last 10 %.
      alphabet: The characters of the whole text, sorted.
    """

    train: jax.Array
    validation: jax.Array
    test: jax.Array
    alphabet: str


def load() -> Text:
    """Read the topics in alphabetical order and split the text.

    Returns:
      The text.
    """
    text = "".join(topics[name] for name in sorted(topics))
    alphabet = "".join(sorted(set(text)))
    index = {character: i for i, character in enumerate(alphabet)}
    tokens = np.array([index[character] for character in text], np.int32)
    held_out = int(HELD_OUT * len(tokens))
    train, validation, test = np.split(tokens, [len(tokens) - 2 * held_out, len(tokens) - held_out])
    return Text(jnp.asarray(train), jnp.asarray(validation), jnp.asarray(test), alphabet)


def windows(tokens: jax.Array, context: int) -> jax.Array:
    """Cut a stretch into consecutive windows, each of which shares its last character with the next one's first.

    Args:
      tokens: `[N]`.
      context: Characters that a network sees.

    Returns:
      `[(N - 1) // context, context + 1]`: every character but the first is predicted once.
    """
    count = (tokens.size - 1) // context
    starts = context * jnp.arange(count)
    return tokens[starts[:, None] + jnp.arange(context + 1)]
