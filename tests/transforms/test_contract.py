"""Every method of sparse training, in every circumstance in which people run optimizers, keeps the same promises."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

from lpjax import sparsity
from lpjax.train import AXIS, data_parallel, initial_state, mesh_of, replicate, train_step
from lpjax.transforms import METHODS, DynamicSparseState, FixedMaskState, fixed_mask, get_explored, get_mask
from lpjax.types import Batch, Variables

CHOICES = {"every": 2, "until": 6, "end": 6, "drop_fraction": 0.5, "initial_density": 0.5}
STEPS = 8
TOTAL, FINAL = 192, 48
rng = np.random.default_rng(0)
CONV, DENSE = (np.asarray(rng.normal(size=shape), np.float32) for shape in ((3, 3, 4, 4), (8, 6)))
BIAS = np.asarray(rng.normal(size=6), np.float32)
NAMES = [*METHODS, "fixed_mask"]
PARAMS = {"conv": {"kernel": CONV}, "dense": {"kernel": DENSE, "bias": BIAS}}


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias", "scale"], meta_fields=["name"])
@dataclasses.dataclass
class Layer:
    """A layer as Equinox has it: its parameters are attributes, and some are absent."""

    weight: Any
    bias: Any
    scale: Any
    name: str


class Nnx(nnx.Module):
    def __init__(self):
        self.conv = nnx.Param(jnp.asarray(CONV))
        self.dense = nnx.Param(jnp.asarray(DENSE))
        self.bias = nnx.Param(jnp.asarray(BIAS))


class Linen(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, images):
        hidden = flax.linen.Conv(4, (3, 3), use_bias=False)(images)
        return flax.linen.Dense(6)(hidden.reshape(len(images), 8))


def linen():
    shapes = jax.eval_shape(Linen().init, jax.random.key(0), jnp.zeros((1, 1, 2, 4)))["params"]
    return jax.tree.map(lambda like: next(p for p in (CONV, DENSE, BIAS) if p.shape == like.shape), shapes)


def momentum():
    return optax.sgd(0.1, momentum=0.9)


def kernels(tree):
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, tree)


def others(tree):
    return jax.tree.map(lambda p: jnp.ndim(p) < 2, tree)


class Setting(NamedTuple):
    """What surrounds a method; `pace` counts calls of `update` per step of the method.

    `build` makes the method around the inner optimizer by itself where wrapping the method is not enough.
    """

    inner: Callable[[], Any] = momentum
    wrap: Callable[[Any], Any] = lambda tx: tx
    params: Any = PARAMS
    pace: int = 1
    build: Callable[[str], Any] | None = None


def injected_around(name):
    return optax.inject_hyperparams(lambda learning_rate: method(name, optax.sgd(learning_rate, momentum=0.9)))(0.1)


def partitioned(tx):
    def labels(tree):
        return jax.tree.map(lambda p: "sparse" if jnp.ndim(p) > 1 else "frozen", tree)

    return optax.partition({"sparse": tx, "frozen": optax.set_to_zero()}, labels)


SETTINGS = {
    "alone": Setting(),
    "chain": Setting(wrap=lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx)),
    "masked": Setting(wrap=lambda tx: optax.chain(optax.masked(tx, kernels), optax.masked(momentum(), others))),
    "accumulating": Setting(wrap=lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(), pace=2),
    "around accumulation": Setting(lambda: optax.MultiSteps(momentum(), 2).gradient_transformation()),
    "bfloat16": Setting(params=jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), PARAMS)),
    "adamw": Setting(lambda: optax.adamw(0.1, weight_decay=0.1)),
    "lion": Setting(lambda: optax.lion(0.1)),
    "lamb": Setting(lambda: optax.lamb(0.1, weight_decay=0.1)),
    "adafactor": Setting(lambda: optax.adafactor(0.1)),
    "factored": Setting(lambda: optax.adafactor(0.1, min_dim_size_to_factor=4)),
    "rprop": Setting(lambda: optax.rprop(0.01)),
    "schedule and clipping": Setting(
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(0.1, 8)))
    ),
    "hyperparameters inside": Setting(lambda: optax.inject_hyperparams(optax.sgd)(0.1, momentum=0.9)),
    "hyperparameters around": Setting(build=injected_around),
    "partition with a frozen group": Setting(wrap=partitioned),
    "if finite": Setting(wrap=lambda tx: optax.apply_if_finite(tx, 3)),
    "linen": Setting(params=linen()),
    "nnx": Setting(params=nnx.state(Nnx(), nnx.Param)),
    "dataclass": Setting(
        params=[Layer(CONV.transpose(3, 2, 0, 1), None, None, "conv"), Layer(DENSE.T, BIAS, None, "dense")]
    ),
    "sequences": Setting(params=([CONV, (DENSE,)], (BIAS, None))),
}
PROMOTING = {
    "schedule and clipping",
    "rprop",
    "hyperparameters inside",
    "hyperparameters around",
    "accumulating",
    "around accumulation",
    "adamw",
    "lion",
    "lamb",
    "adafactor",
    "factored",
    "bfloat16",
}
QUICK = {("alone", name) for name in NAMES} | {(setting, "rigl") for setting in ("masked", "nnx")}


def cases():
    for setting in SETTINGS:
        for name in NAMES:
            yield pytest.param(setting, name, marks=[] if (setting, name) in QUICK else pytest.mark.slow)


def method(name, inner=None, **more):
    inner = momentum() if inner is None else inner
    if name == "fixed_mask":
        return fixed_to_erk(inner)
    density = 0.5 if name == "2:4" else 0.25
    choices = {choice: CHOICES[choice] for choice in METHODS[name].choices if choice in CHOICES}
    return METHODS[name].build(inner, density, **choices, **more)


def fixed_to_erk(inner):
    """`fixed_mask` with a mask that fits whatever parameters `init` is given."""

    def at(params):
        counts = sparsity.erk(params, 0.25)
        scores = sparsity.random(jax.random.key(0), params)
        return fixed_mask(inner, sparsity.select_per_leaf(scores, sparsity.full_mask(params), counts))

    def init(params):
        if not jax.tree.leaves(params):
            return fixed_mask(inner, params).init(params)
        return at(params).init(params)

    def update(grads, state, params=None, **extra):
        return fixed_mask(inner, state.mask).update(grads, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def gradients(step, params=PARAMS):
    """Dense gradients, the same for a step whenever it is asked."""
    draw = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(draw.normal(size=p.shape), p.dtype), params)


def counted(tx):
    """One jitted step of a plain training loop that donates, and the list that grows with every trace."""
    traces = []

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, grads):
        traces.append(True)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step, traces


def flat(tree):
    """Leaves by path; what has no leaf in a mask (`optax.masked`) is no concern of it."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf, np.float32) for path, leaf in leaves}


def own(tree):
    """A copy whose buffers a step may donate."""
    return jax.tree.map(jnp.array, tree)


def inner_of(state):
    kinds = (DynamicSparseState, FixedMaskState)
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kinds))
    (found,) = [node for node in nodes if isinstance(node, kinds)]
    return found.inner


def sparse(state):
    return {path: leaf.astype(bool) for path, leaf in flat(get_mask(state)).items() if leaf.ndim > 1}


def budgets(state):
    return {path: int(mask.sum()) for path, mask in sparse(state).items()}


def expected_kept(name, step):
    """The counts of the papers' schedules, from the integers at both ends."""
    to_go = (1 - min(step // 2, 3) / 3) ** 3
    if name == "snip":
        return FINAL if step else TOTAL
    if name == "2:4":
        return TOTAL // 2 if step >= 6 else TOTAL
    first = {"granet": TOTAL // 2, "gmp": TOTAL}.get(name, FINAL)
    return FINAL + round((first - FINAL) * to_go)


def expected_changes(name):
    if name in ("uniform", "erk", "fixed_mask"):
        return []
    return {"snip": [1], "2:4": [6]}.get(name, [2, 4, 6])


def assert_zero_outside(params, state, first=None):
    """Outside the mask parameters are zero, and moments of their shape what they were at first (zero by default)."""
    weights, masks = flat(params), sparse(state)
    by_shape = {mask.shape: mask for mask in masks.values()}
    assert len(by_shape) == len(masks) == 2
    for path, mask in masks.items():
        np.testing.assert_array_equal(weights[path][~mask], 0)
    for path, moment in flat(inner_of(state)).items():
        if moment.shape in by_shape:
            outside = ~by_shape[moment.shape]
            np.testing.assert_array_equal(moment[outside], 0 if first is None else first[path][outside])


@pytest.mark.parametrize(("setting", "name"), list(cases()))
def test_a_method_keeps_its_promises(setting, name):
    with jax.numpy_dtype_promotion("standard" if setting in PROMOTING else "strict"):
        # A jitted `init` is another program every time, an eager one is not.
        keeps_its_promises(SETTINGS[setting], name, jitted_init=setting == "alone" or name == "rigl")


def keeps_its_promises(setting, name, *, jitted_init):
    tx = setting.build(name) if setting.build else setting.wrap(method(name, setting.inner()))
    params = own(setting.params)
    state = jax.jit(tx.init)(params) if jitted_init else tx.init(params)
    moments = flat(inner_of(state))
    step, traces = counted(tx)
    before, first, changes = sparse(state), budgets(state), []
    explored = before
    assert sum(first.values()) == expected_kept(name, 0)
    for call in range(1, setting.pace * STEPS + 1):
        params, state = step(params, state, gradients(call, setting.params))
        assert jax.tree.structure(params) == jax.tree.structure(setting.params)
        assert all(a.dtype == b.dtype for a, b in zip(*map(jax.tree.leaves, (params, setting.params)), strict=True))
        assert sum(budgets(state).values()) == expected_kept(name, call // setting.pace)
        if call >= setting.pace:
            assert_zero_outside(params, state, moments)
        mask = sparse(state)
        if any((mask[path] != before[path]).any() for path in mask):
            changes.append(call)
        explored = {path: explored[path] | mask[path] for path in mask}
        before = mask
    assert changes == [setting.pace * change for change in expected_changes(name)]
    assert len(traces) == 1
    if name in ("uniform", "erk", "set", "rigl", "itop", "fixed_mask"):
        assert budgets(state) == first
    if name not in ("snip", "fixed_mask"):  # the first explores nothing before it has chosen, the other never
        tried = {path: leaf.astype(bool) for path, leaf in flat(get_explored(state)).items() if leaf.ndim > 1}
        for path in tried:
            np.testing.assert_array_equal(tried[path], explored[path])
    assert all(np.isfinite(leaf).all() for leaf in flat(params).values())


def slow_but(*quick):
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in NAMES]
    )


def run(step, params, state, steps):
    params, state = own(params), own(state)
    for number in steps:
        params, state = step(params, state, gradients(number))
    return params, state


def from_bytes(tree):
    """A copy that has been on a disk."""
    return jax.tree.map(lambda x: jnp.asarray(np.array(x)), tree)


def assert_same_bits(tree, other):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for a, b in zip(*map(jax.tree.leaves, (tree, other)), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_masks_and_close(params, state, expected_params, expected_state):
    assert_same_bits(get_mask(state), get_mask(expected_state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), params, expected_params)


@slow_but("uniform")
def test_resumed_from_its_state_it_gives_the_bits_of_the_uninterrupted(name):
    tx = method(name)
    step, _ = counted(tx)
    whole = run(step, PARAMS, tx.init(PARAMS), range(STEPS))
    again, _ = counted(method(name, **({} if name == "fixed_mask" else {"key": 99})))  # the key comes with the state
    for stop in (1, 3, 4):
        half = from_bytes(run(step, PARAMS, tx.init(PARAMS), range(stop)))
        assert_same_bits(run(again, *half, range(stop, STEPS)), whole)


@slow_but("rigl")
def test_a_step_under_scan_goes_the_same_way(name):
    tx = method(name)
    step, _ = counted(tx)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[gradients(number) for number in range(STEPS)])

    def body(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), sparsity.kept(get_mask(state))

    start = jax.tree.map(jnp.asarray, PARAMS), tx.init(PARAMS)
    scanned, kept = jax.jit(lambda start, grads: lax.scan(body, start, grads))(start, stacked)
    assert kept.tolist() == [expected_kept(name, number) for number in range(1, STEPS + 1)]
    assert_same_masks_and_close(*scanned, *run(step, *start, range(STEPS)))


def keyed(name, key):
    return method(name) if name == "fixed_mask" else method(name, key=key)


@slow_but()
def test_vmap_over_keys_trains_replicates(name):
    keys = jax.random.split(jax.random.key(5), 3)
    params = jax.tree.map(lambda p: jnp.stack([p] * len(keys)), PARAMS)
    state = jax.jit(jax.vmap(lambda key: keyed(name, key).init(PARAMS)))(keys)
    one_step, _ = counted(method(name))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def step(params, state, grads):
        updates, state = method(name).update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params, state = run(step, params, state, range(STEPS))
    seen = set()
    for number, key in enumerate(keys):
        alone = run(one_step, PARAMS, keyed(name, key).init(PARAMS), range(STEPS))
        one = jax.tree.map(lambda leaf, number=number: leaf[number], (params, state))
        assert_same_masks_and_close(*one, *alone)
        seen.add(np.concatenate([m.ravel() for m in sparse(alone[1]).values()]).tobytes())
    assert len(seen) == (
        1 if name in ("snip", "gmp", "2:4", "fixed_mask") else len(keys)
    )  # what draws nothing knows no replicates


def perceptron(variables, images, *, train=False, axis_name=None):
    del train, axis_name
    hidden = jax.nn.relu(images.reshape(len(images), -1) @ variables.params["in"])
    return hidden @ variables.params["out"] + variables.params["bias"], variables.stats


@slow_but()
def test_on_eight_devices_every_device_holds_the_mask_of_one(name):
    draw = np.random.default_rng(1)
    data = Batch(
        jnp.asarray(draw.integers(0, 256, (24, 4, 4, 1)), jnp.uint8), jnp.asarray(draw.integers(0, 4, 24), jnp.int32)
    )
    shapes = {"in": (16, 8), "out": (8, 4), "bias": (4,)}
    params = {part: jnp.asarray(draw.normal(size=shape), jnp.float32) for part, shape in shapes.items()}
    tx = method(name)

    def train(mesh):
        step = data_parallel(
            train_step(perceptron, tx, lambda _, images: images.astype(jnp.float32) / 255 - 0.5, axis_name=AXIS), mesh
        )
        state = replicate(initial_state(Variables(params, {}), tx), mesh)
        for number in range(7):
            rows = np.random.default_rng(number).choice(24, 16, replace=False).astype(np.int32)
            state, _ = step(state, replicate(data, mesh), rows, jax.random.key(0))
        return state

    eight, one = train(mesh_of()), train(mesh_of(jax.devices()[:1]))
    for leaf in jax.tree.leaves((eight.variables, get_mask(eight.opt_state), inner_of(eight.opt_state))):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])
    spread, alone = jax.device_get((eight, one))
    assert_same_masks_and_close(spread.variables.params, spread.opt_state, alone.variables.params, alone.opt_state)
    assert_zero_outside(spread.variables.params, spread.opt_state)


@pytest.mark.parametrize("name", METHODS)
def test_a_row_of_the_table_explains_itself(name):
    row = METHODS[name]
    assert set(row.choices) <= set(CHOICES) | {"allocate"}
    assert row.about.endswith(".")
    assert row.reference
    assert ("every" in row.choices) == (row.changes == "periodically")
    assert not row.first_step_selects or row.changes == "once"


def test_the_names_of_the_table_are_pinned():
    assert list(METHODS) == ["uniform", "erk", "snip", "set", "rigl", "itop", "granet", "gmp", "snfs", "dsr", "2:4"]
