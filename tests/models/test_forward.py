"""Forward passes against values computed with PyTorch. Weights are sines of their torch index, so no file is needed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax import models
from lpjax.interop import from_state_dict, torch_keys
from lpjax.types import Variables

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def torch_order(key):
    """Sorts a state dict's keys as modules register them: the stem first, the head last, shortcuts behind."""
    *modules, leaf = key.split(".")
    return [rank(module) for module in modules], ("weight", "bias", "running_mean", "running_var").index(leaf)


def rank(module):
    if module.isdigit():
        return int(module), 0
    if module in ("fc", "classifier"):
        return 99, 0
    name, number = re.fullmatch(r"([a-z]+)(\d?)", module).groups()
    return {"conv": 0, "bn": 0, "downsample": 9, "features": 10, "layer": 10}[name] + int(number or 0), int(
        name == "bn"
    )


def oracle_variables(name, classes, size):
    x64 = jax.config.jax_enable_x64
    module = models.build(name, classes=classes)
    template = jax.eval_shape(lambda k: models.initialize(module, k, (size, size, 3)), jax.random.key(0))
    keys = torch_keys(template)
    shapes = dict(zip(jax.tree.leaves(keys), (leaf.shape for leaf in jax.tree.leaves(template)), strict=True))
    norms = {key.rsplit(".", 1)[0] for key in shapes if key.endswith("running_mean")}
    state = {}
    for j, key in enumerate(sorted(shapes, key=torch_order)):
        module_name, leaf = key.rsplit(".", 1)
        shape = shapes[key]
        torch_axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[len(shape)]
        shape = [shape[axis] for axis in torch_axes]
        s = np.sin(0.37 * np.arange(np.prod(shape)) + j).reshape(shape)
        if len(shape) == 4:
            s = s * np.sqrt(2 / np.prod(shape[1:]))
        elif len(shape) == 2:
            s = s / np.sqrt(shape[1])
        elif leaf == "weight" and module_name in norms:
            s = 1 + 0.1 * s
        elif leaf == "running_var":
            s = 1 + 0.5 * s**2
        else:
            s = 0.1 * s
        state[key] = s
    if x64:
        module = module.clone(dtype=jnp.float64)
        template = jax.tree.map(lambda t: jax.ShapeDtypeStruct(t.shape, jnp.float64), template)
    return models.bind(module), from_state_dict(template, state)


def images(count, size, mean=MEAN, std=STD):
    x = 0.5 + 0.5 * np.sin(0.1 * np.arange(count * 3 * size * size)).reshape(count, 3, size, size)
    return jnp.asarray((x.transpose(0, 2, 3, 1) - np.array(mean)) / np.array(std))


EVAL = [
    (
        "resnet18",
        [0.013998, 0.134776, 0.195517, 0.159192, 0.060342, -0.024114, -0.037878, 0.009976, 0.055283, 0.035211],
        2.327065,
    ),
    ("vgg16", [-0.263045, 0.727908, 1.065345, 0.456568, -0.599295], 6.396666),
    ("resnet20", [30.476515, 32.401252, -22.705244, -37.651238, 13.880961], 198.447231),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row", "total"), EVAL)
def test_evaluation_agrees_with_pytorch(name, row, total):
    apply, variables = oracle_variables(name, 10, 32)
    logits, _ = jax.jit(apply)(variables, images(4, 32).astype(jnp.float32))
    np.testing.assert_allclose(logits[0, : len(row)], row, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.sum(logits), total, rtol=1e-3)


@pytest.mark.slow
def test_the_imagenet_stem_agrees_with_pytorch():
    apply, variables = oracle_variables("imagenet_resnet18", 1000, 64)
    logits, _ = jax.jit(apply)(variables, images(2, 64, (0.45,) * 3, (0.225,) * 3).astype(jnp.float32))
    np.testing.assert_allclose(logits[0, :4], [-0.005876, 0.141844, 0.223677, 0.185139], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.sum(logits), 0.078316, atol=2e-3)


@pytest.fixture
def x64():
    # Flax's BatchNorm mixes float32 and float64 by itself.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "row", "total"),
    [
        ("resnet18", [-0.3115546, 0.0446200, 0.4153710], 1.9917491),
        ("vgg16", [], -6.4082777),
        ("resnet20", [], -0.646225),
    ],
)
def test_training_agrees_with_pytorch(name, row, total):
    apply, variables = oracle_variables(name, 10, 32)
    logits, stats = apply(variables, images(4, 32), train=True)
    np.testing.assert_allclose(logits[0, : len(row)], row, atol=1e-6)
    np.testing.assert_allclose(np.sum(logits), total, atol=1e-6)
    if name == "resnet18":
        running = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, variables.stats["bn1"], stats["bn1"])
        np.testing.assert_allclose(running["mean"][:3], [0.031610, -0.033400, -0.047616], atol=1e-5)
        # PyTorch keeps the unbiased variance: n / (n - 1) with n = 4096 values a channel.
        np.testing.assert_allclose(running["var"][:3], [1.169648, 1.314447, 1.369424], atol=5e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_recalibration_agrees_with_pytorch_once_variances_are_unbiased():
    apply, variables = oracle_variables("resnet18", 10, 32)
    six = images(6, 32)
    statistics = []
    for batch in (six[:4], six[4:]):
        stats = apply(variables, batch, train=True)[1]

        def unbiased(path, s, count=batch.shape[0]):
            key = jax.tree_util.keystr(path, simple=True, separator="/")
            side = 32 >> max(int(key[5]) - 1, 0) if key.startswith("layer") else 32
            n = count * side * side
            return s * n / (n - 1) if key.endswith("var") else s

        statistics.append(jax.tree_util.tree_map_with_path(unbiased, stats))
    fresh = Variables(variables.params, jax.tree.map(lambda a, b: (a + b) / 2, *statistics))
    np.testing.assert_allclose(fresh.stats["bn1"]["mean"][:3], [0.210477, -0.129601, 0.008410], atol=1e-5)
    np.testing.assert_allclose(fresh.stats["bn1"]["var"][:3], [0.117643, 0.149635, 0.191345], atol=1e-5)
    logits, _ = apply(fresh, six[:4])
    np.testing.assert_allclose(logits[0, :3], [0.6111999, 0.2918935, -0.2174821], atol=1e-6)
    np.testing.assert_allclose(np.sum(logits), 2.7633336, atol=1e-6)
