"""Files as the PyTorch implementations write them: by PyTorch where it is installed, by pickle where it is not."""

import importlib.util
import pickle

import jax
import numpy as np
import pytest

from lpjax.interop import Architecture, files, to_state_dict
from lpjax.interop.recognize import template
from lpjax.sparsity import convolution_kernels, full_mask, prunable_leaves, total
from lpjax.types import Ticket

HAS_TORCH = importlib.util.find_spec("torch") is not None


def tensors(value):
    import torch

    if isinstance(value, dict):
        return {name: tensors(entry) for name, entry in value.items()}
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value


@pytest.fixture
def write(monkeypatch):
    """Writes a file that the command will read."""
    if HAS_TORCH:
        import torch

        def put(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(tensors(content), path)
    else:

        def put(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(content))

        monkeypatch.setattr(files, "_read_torch", lambda path: pickle.loads(path.read_bytes()))
        monkeypatch.setattr(files, "save", put)
    return put


@pytest.fixture(scope="session")
def make_ticket():
    """Draws a ticket that keeps so many of its prunable weights."""

    def make(model="resnet8", *, kept=None, seed=0, width=2, classes=3, prunable=convolution_kernels):
        network = template(Architecture(model, classes, width, 3))
        draws = np.random.default_rng(seed)
        leaves = jax.tree.map(lambda leaf: draws.uniform(0.1, 1, leaf.shape).astype(np.float32), network)
        mask = jax.tree.map(np.array, full_mask(network))
        ranks = draws.permutation(total(mask, prunable)).argsort()
        flags = prunable_leaves(mask, prunable)
        for leaf, counted in zip(jax.tree.leaves(mask), flags, strict=True):
            if counted and kept is not None:
                here, ranks = np.split(ranks, [leaf.size])
                leaf[...] = (here < kept).reshape(leaf.shape)
        return Ticket(jax.tree.map(lambda m, p: np.where(m, p, np.float32(0)), mask, leaves), mask)

    return make


@pytest.fixture(scope="session")
def make_state():
    """Turns a ticket into the originals' state dict, whose weights are not zero under their masks."""

    def make(ticket, normalize=None):
        state = to_state_dict(ticket, normalize=normalize)
        for name in [name for name in state if name.endswith("_orig")]:
            mask = state[name.replace("_orig", "_mask")]
            state[name] = np.where(mask, state[name], np.float32(0.7))
        return state

    return make
