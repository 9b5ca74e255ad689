"""Tickets in files of their own: packed ones, and those of PyTorch, safetensors, ONNX and `jax.export`.

Read `masks` (names and masks of a state dict), `layout` (axes and order) and `recognize` (which network it is) first:
they need no files. Then `files` (what PyTorch writes) and `safetensors`, `importing` with `destination`, `exporting`,
and the command, `torch`. Packed files are `mask_coding`, `packed` and `unpacking`; `onnx` and `stablehlo` are programs;
`origin` and `card` say where a ticket comes from.
"""

from lpjax.command import extra

with extra("run"):
    from lpjax.interop.layout import from_state_dict, ticket_from_state_dict, to_state_dict, torch_keys
    from lpjax.interop.masks import split_masks
    from lpjax.interop.packed import read_packed, write_packed
    from lpjax.interop.recognize import Architecture, recognize

__all__ = [
    "Architecture",
    "from_state_dict",
    "read_packed",
    "recognize",
    "split_masks",
    "ticket_from_state_dict",
    "to_state_dict",
    "torch_keys",
    "write_packed",
]
