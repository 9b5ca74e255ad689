"""Import and export of tickets of the PyTorch implementations.

Read `masks` (names and masks of a state dict), `layout` (axes and order) and `recognize` (which network it is) first:
they need no files. Then `files` (what lies on disk), `importing` with `destination`, `exporting`, and the command,
`torch`.
"""

from lpjax.command import extra

with extra("run"):
    from lpjax.interop.layout import from_state_dict, ticket_from_state_dict, to_state_dict, torch_keys
    from lpjax.interop.masks import split_masks
    from lpjax.interop.recognize import Architecture, recognize

__all__ = [
    "Architecture",
    "from_state_dict",
    "recognize",
    "split_masks",
    "ticket_from_state_dict",
    "to_state_dict",
    "torch_keys",
]
