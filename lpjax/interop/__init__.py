"""Other people's checkpoints."""

from lpjax.interop.torch import from_state_dict, torch_keys

__all__ = ["from_state_dict", "torch_keys"]
