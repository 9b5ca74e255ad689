"""Sparse training as optax transforms: masks live in the optimiser's state."""

from lpjax.transforms.hold import HoldState, hold

__all__ = ["HoldState", "hold"]
