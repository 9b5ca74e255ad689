"""Pruned networks of every architecture compute what PyTorch's do.

Weights and masks are drawn from fixed seeds. The reference is golden, and PyTorch itself where it is installed; golden
values come from there too: `python tests/interop/test_logits.py` writes them anew.
"""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax import data, models
from lpjax.interop import Architecture, ticket_from_state_dict, to_state_dict
from lpjax.interop.recognize import template
from lpjax.sparsity import full_mask
from lpjax.types import Ticket

GOLDEN = Path(__file__).parents[1] / "golden" / "torch_logits.json"
HAS_TORCH = importlib.util.find_spec("torch") is not None
QUICK = ("openlth_resnet20", "resnet8", "resnet20")
NETWORKS = [name for name in models.NAMES if name != "suptickets_imagenet_resnet50"]  # that is another's, started anew
BARE = ("imagenet_", "openlth_", "suptickets_", "wide_")  # their networks leave normalization to the data


STEMS = {"vgg16": "features.0.weight", "suptickets_vgg16": "features.0.weight", "openlth_resnet20": "conv.weight"}
HEADS = {
    "vgg16": ["classifier.weight", "classifier.bias"],
    "suptickets_vgg16": ["classifier.3.weight", "classifier.3.bias"],
    "suptickets_resnet50": ["classifier.weight"],
}


def images(name):
    size = 64 if name.startswith("imagenet") else 32
    return np.random.RandomState(7).uniform(size=(2, 3, size, size)).astype(np.float32)


def drawn(shapes):
    """Draws of a generator whose stream NumPy has frozen, seeded by the entry's number; a third is masked."""
    norms = {name.removesuffix(".running_mean") for name in shapes if name.endswith(".running_mean")}
    gain, scale = (3, 1.0) if "features.0.weight" in shapes else (2, 0.8)  # nothing adds up where no shortcut is
    state, masks = {}, {}
    unordered = "block1.layer.0.bn1.weight" in shapes  # ours and PyTorch's differ
    for number, (name, shape) in enumerate(sorted(shapes.items()) if unordered else shapes.items()):
        module, entry = name.rsplit(".", 1)
        draws = np.random.RandomState(number)
        normal = draws.standard_normal(shape)
        if len(shape) > 1:
            state[name] = normal * np.sqrt(gain / np.prod(shape[1:]))
        elif entry == "running_var":
            state[name] = 1 + 0.1 * normal**2
        else:
            state[name] = scale * (module in norms and entry == "weight") + 0.1 * normal
        if len(shape) == 4:
            masks[name] = draws.uniform(size=shape) > 1 / 3
    return {name: array.astype(np.float32) for name, array in state.items()}, masks


def our_shapes(name):
    slim = name in ("openlth_resnet20", "resnet8", "resnet20", "resnet44", "resnet56", "wide_resnet28_10")
    network = template(Architecture(name, 10, 16 if slim else 64, 3))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), network)
    state = to_state_dict(Ticket(zeros, full_mask(zeros)))
    return network, state


def numbers(state):
    return {name: np.shape(array) for name, array in state.items() if not name.endswith("num_batches_tracked")}


def our_logits(name):
    network, state = our_shapes(name)
    weights, masks = drawn(numbers(state))
    for weight, mask in masks.items():
        weights[f"{weight}_orig"], weights[f"{weight}_mask"] = weights.pop(weight), mask.astype(np.float32)
    ticket = ticket_from_state_dict(network, weights)
    x = images(name).transpose(0, 2, 3, 1)
    if not name.startswith(BARE):
        mean, std = data.PUBLISHED["cifar10"]
        x = (x - np.float32(mean)) / np.float32(std)
    apply = models.bind(models.build(name, classes=10))
    return np.asarray(jax.jit(apply)(ticket.params, jnp.asarray(x))[0])


def torch_network(name):
    spec = importlib.util.spec_from_file_location("torch_networks", Path(__file__).with_name("torch_networks.py"))
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    return networks.build(name)


def torch_logits(name):
    import torch
    from torch.nn.utils import prune

    network = torch_network(name)
    entries = {key: array for key, array in network.state_dict().items() if "normalize." not in key}
    weights, masks = drawn(numbers(entries))
    network.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, strict=False)
    for weight, mask in masks.items():
        prune.custom_from_mask(network.get_submodule(weight.removesuffix(".weight")), "weight", torch.from_numpy(mask))
    with torch.no_grad():
        return network.double().eval()(torch.from_numpy(images(name)).double()).numpy()


def references(name):
    golden = np.array(json.loads(GOLDEN.read_text())[name])
    return [golden, torch_logits(name)] if HAS_TORCH else [golden]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_logits_agree_with_pytorch(name):
    ours = our_logits(name)
    assert np.std(ours) > 1e-3
    for reference in references(name):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_entries_have_pytorch_s_names_and_order(name):
    _, state = our_shapes(name)
    entries = list(state)
    head = HEADS.get(name, ["fc.weight", "fc.bias"])
    assert [entries[0], *entries[-len(head) :]] == [STEMS.get(name, "conv1.weight"), *head]
    if HAS_TORCH:
        theirs = {key.removeprefix("model."): array for key, array in torch_network(name).state_dict().items()}
        expected = [key for key in theirs if not key.startswith("normalize.")]
        anyhow = sorted if name == "wide_resnet28_10" else list  # it alone registers BatchNorm before convolutions
        assert anyhow(entries) == anyhow(expected)
        assert numbers(state) == {key: tuple(shape) for key, shape in numbers(theirs).items() if "normalize" not in key}


if __name__ == "__main__":
    logits = {name: np.round(torch_logits(name), 6).tolist() for name in NETWORKS}
    GOLDEN.write_text(json.dumps(logits, indent=1) + "\n")
