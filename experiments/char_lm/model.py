"""A small decoder-only transformer in Flax NNX."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


class Transformer(nnx.Module):
    """Characters in, logits of the next character out."""

    def __init__(self, alphabet: int, *, width: int = 176, heads: int = 8, blocks: int = 2, rngs: nnx.Rngs) -> None:
        """Initialize the network."""
        self.embedding = nnx.Embed(alphabet, width, embedding_init=nnx.initializers.normal(1.0), rngs=rngs)
        self.blocks = nnx.List([Block(width, heads, rngs) for _ in range(blocks)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, alphabet, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Compute logits `[B, T, alphabet]` of tokens `[B, T]`; entry `t` depends on tokens up to `t`."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nnx.Module):
    """Attention and two dense layers, each after a layer norm and inside a residual connection."""

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs) -> None:
        """Initialize a block."""
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, width, attention_fn=attend, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Transform features `[B, T, width]`."""
        x = x + self.attention(self.norm1(x), is_causal=True)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


def attend(query: jax.Array, key: jax.Array, value: jax.Array, **options: Any) -> jax.Array:
    """Compute attention with linear biases: scores fall with distance, by slopes 2, 1, 1/2, ... of the heads.

    References:
      Press et al., Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation, ICLR 2022.
    """
    length, heads, _ = query.shape[-3:]
    position = jnp.arange(length, dtype=query.dtype)
    distance = position[:, None] - position[None, :]
    slopes = 2.0 ** (1.0 - jnp.arange(heads, dtype=query.dtype))
    bias = -slopes[:, None, None] * distance
    return nnx.dot_product_attention(query, key, value, bias=bias, **options)
