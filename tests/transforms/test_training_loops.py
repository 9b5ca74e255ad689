"""Every transform in the training loops that people have: other libraries' containers, sharded, saved and restored."""

import dataclasses
import functools
from typing import Any

import flax.linen
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import lpjax
from lpjax import sparsity
from lpjax.transforms import METHODS, FixedMaskState, fixed_mask

CHOICES = {"every": 2, "until": 4, "end": 4, "drop_fraction": 0.5, "initial_density": 0.5}
NAMES = [*METHODS, "fixed_mask"]
QUICK = ("rigl", "fixed_mask")
STEPS = 5
draw = np.random.default_rng(0)
PARAMS = {
    "in": {"kernel": np.asarray(draw.normal(size=(16, 8)), np.float32), "bias": np.zeros(8, np.float32)},
    "out": {"kernel": np.asarray(draw.normal(size=(8, 16)), np.float32)},
}
X = np.asarray(draw.normal(size=(32, 16)), np.float32)
Y = np.asarray(draw.normal(size=(32, 16)), np.float32)

each_method = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NAMES]
)


def method(name, inner, **more):
    if name == "fixed_mask":
        return from_ticket(inner, **more)
    choices = {choice: CHOICES[choice] for choice in METHODS[name].choices if choice in CHOICES}
    return METHODS[name].build(inner, 0.5 if name == "2:4" else 0.25, **choices, **more)


def from_ticket(inner, stacked=None):
    """`fixed_mask` with the mask of a ticket of the parameters' structure."""

    def ticket_of(params):
        counts = sparsity.erk(params, 0.25, stacked=stacked)
        return sparsity.select_per_leaf(sparsity.random(jax.random.key(0), params), sparsity.full_mask(params), counts)

    def init(params):
        if not jax.tree.leaves(params):
            return FixedMaskState(params, inner.init(params))
        return fixed_mask(inner, ticket_of(params)).init(params)

    def update(grads, state, params=None, **extra):
        return fixed_mask(inner, state.mask).update(grads, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def loss(params, x=X, y=Y):
    hidden = jnp.tanh(x @ params["in"]["kernel"] + params["in"]["bias"])
    return jnp.mean((hidden @ params["out"]["kernel"] - y) ** 2)


def adamw():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.01, 2, STEPS)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))


def own(tree):
    return jax.tree.map(jnp.array, tree)


def donating(tx, loss=loss):
    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    return step


@functools.cache
def reference(name):
    """Parameters and mask after the plain loop on one device."""
    tx = method(name, adamw())
    params = own(PARAMS)
    state = tx.init(params)
    step = donating(tx)
    for _ in range(STEPS):
        params, state = step(params, state)
    return jax.device_get(params), jax.device_get(lpjax.get_mask(state))


def assert_as_on_one_device(name, params, mask):
    expected, expected_mask = reference(name)
    for ours, theirs in zip(jax.tree.leaves(mask), jax.tree.leaves(expected_mask), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.fixture(autouse=True)
def _as_users_promote():
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.slow
@each_method
def test_no_two_arrays_of_a_state_share_a_buffer(name):
    tx = method(name, adamw())
    for init in (tx.init, jax.jit(tx.init)):
        state = init(own(PARAMS))
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
        assert len(set(pointers)) == len(pointers)


@each_method
def test_a_flax_train_state_donates_its_buffers(name):
    state = TrainState.create(apply_fn=None, params=own(PARAMS), tx=method(name, adamw()))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state):
        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    state = TrainState(jnp.asarray(state.step), *(getattr(state, f) for f in ("apply_fn", "params", "tx", "opt_state")))
    for _ in range(STEPS):
        state = step(state)
    assert_as_on_one_device(name, state.params, lpjax.get_mask(state.opt_state))


class Module(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(16, 8, rngs=rngs)
        self.last = nnx.Linear(8, 16, use_bias=False, rngs=rngs)
        self.first.kernel[...] = jnp.array(PARAMS["in"]["kernel"])
        self.last.kernel[...] = jnp.array(PARAMS["out"]["kernel"])

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.slow
@each_method
def test_an_nnx_optimizer_trains_on_the_mask(name):
    module = Module()
    optimizer = nnx.Optimizer(module, method(name, adamw()), wrt=nnx.Param)

    @functools.partial(nnx.jit, donate_argnums=(0, 1))
    def step(module, optimizer):
        grads = nnx.grad(lambda module: jnp.mean((module(X) - Y) ** 2))(module)
        optimizer.update(module, grads)

    for _ in range(STEPS):
        step(module, optimizer)
    mask = lpjax.get_mask(optimizer.opt_state)
    trained = nnx.state(module, nnx.Param)
    lpjax.assert_on_mask(trained, mask)
    expected = reference(name)[1]
    assert lpjax.density(mask) == lpjax.density(expected)
    assert set(lpjax.density_per_leaf(mask)) == {"first/kernel", "last/kernel"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
@pytest.mark.parametrize("spec", [P("x", None), P(None, "x")], ids=["rows", "columns"])
@each_method
def test_on_split_parameters_state_is_split_alike_and_numbers_are_those_of_one_device(name, spec, kind):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(kind,))
    split = NamedSharding(mesh, spec)
    whole = NamedSharding(mesh, P())
    shardings = {"in": {"kernel": split, "bias": whole}, "out": {"kernel": split}}
    tx = method(name, adamw())

    def sharded_loss(params):
        x = jax.device_put(X, whole)
        if kind == AxisType.Explicit:  # what a user of explicit axes writes: where a contraction's result lies
            hidden = jnp.tanh(jnp.matmul(x, params["in"]["kernel"], out_sharding=whole) + params["in"]["bias"])
            return jnp.mean((jnp.matmul(hidden, params["out"]["kernel"], out_sharding=whole) - Y) ** 2)
        return loss(params)

    with jax.set_mesh(mesh):
        params = jax.device_put(own(PARAMS), shardings)
        state = tx.init(params)
        shapes = jax.eval_shape(tx.init, params)
        assert jax.tree.structure(shapes) == jax.tree.structure(state)
        places = optax.tree.map_params(
            tx, lambda _, place: place, shapes, shardings, transform_non_params=lambda _: whole
        )
        jitted = jax.jit(tx.init, out_shardings=places)(params)
        for eager, compiled in zip(jax.tree.leaves(state), jax.tree.leaves(jitted), strict=True):
            np.testing.assert_array_equal(eager, compiled)
        step = donating(tx, sharded_loss)
        for _ in range(STEPS):
            params, state = step(params, state)
            mask = lpjax.get_mask(state)
            for leaf, kept, place in zip(*map(jax.tree.leaves, (params, mask, shardings)), strict=True):
                if leaf.ndim == 2:  # XLA may split a bias that it is free to place
                    assert leaf.sharding.is_equivalent_to(place, leaf.ndim)
                    assert kept.sharding.is_equivalent_to(place, leaf.ndim)
        lpjax.assert_on_mask(params, mask)
    assert_as_on_one_device(name, jax.device_get(params), jax.device_get(mask))


@pytest.mark.slow
@each_method
def test_one_replicate_per_device_trains_inside_a_checked_shard_map(name):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    tx = method(name, adamw())

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    def start(stacked):
        params = jax.tree.map(lambda p: p[0], stacked)
        return jax.tree.map(lambda leaf: leaf[None], (params, tx.init(params)))

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    def step(stacked):
        params, state = jax.tree.map(lambda leaf: leaf[0], stacked)
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return jax.tree.map(lambda leaf: leaf[None], (optax.apply_updates(params, updates), state))

    now = start(jax.tree.map(lambda p: jnp.stack([p * (1 + 0.1 * i) for i in range(8)]), PARAMS))
    for _ in range(STEPS):
        now = step(now)
    params, state = jax.tree.map(lambda leaf: leaf[0], jax.device_get(now))
    assert_as_on_one_device(name, params, lpjax.get_mask(state))


@pytest.mark.slow
def test_a_scan_over_steps_inside_a_checked_shard_map_keeps_the_types_of_its_carry():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    tx = lpjax.rigl(optax.sgd(0.1, momentum=0.9), 0.25, every=2, until=4)

    def train(stacked):
        params = jax.tree.map(lambda p: p[0], stacked)

        def body(carry, _):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(body, (params, tx.init(params)), None, length=STEPS)
        return jax.tree.map(lambda leaf: leaf[None], params)

    eight = jax.tree.map(lambda p: jnp.stack([p] * 8), PARAMS)
    params = jax.jit(jax.shard_map(train, mesh=mesh, in_specs=P("x"), out_specs=P("x")))(eight)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@each_method
def test_saved_and_restored_in_the_middle_it_gives_the_same_bits(name, tmp_path):
    tx = method(name, adamw())
    step = donating(tx)
    params = own(PARAMS)
    state = tx.init(params)
    for _ in range(3):
        params, state = step(params, state)
    like = jax.eval_shape(lambda: (PARAMS, tx.init(PARAMS)))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "orbax", (params, state))
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "orbax", like)
        as_dicts = checkpointer.restore(tmp_path / "orbax")
    data = flax.serialization.to_bytes((params, state))
    read = flax.serialization.from_bytes((own(PARAMS), tx.init(PARAMS)), data)
    found = sparsity.rebuild(lpjax.get_mask(as_dicts[1]), PARAMS)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(lpjax.get_mask(state)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ends = []
    for start in ((params, state), restored, read):
        now = own(start)
        for _ in range(STEPS - 3):
            now = step(*now)
        ends.append(jax.device_get(now))
    for other in ends[1:]:
        for ours, theirs in zip(jax.tree.leaves(other), jax.tree.leaves(ends[0]), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@each_method
def test_in_64_bits_every_dtype_stays(name):
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS)
        tx = method(name, optax.sgd(0.1, momentum=0.9))
        state = tx.init(params)
        types = [leaf.dtype for leaf in jax.tree.leaves((params, state))]
        step = donating(tx)
        for _ in range(STEPS):
            params, state = step(params, state)
            assert [leaf.dtype for leaf in jax.tree.leaves((params, state))] == types
        lpjax.assert_on_mask(params, lpjax.get_mask(state))
        assert lpjax.density(lpjax.get_mask(state)) == (0.5 if name == "2:4" else 0.25)


class Block(flax.linen.Module):
    """A pre-norm block: attention, normalization and a perceptron."""

    @flax.linen.compact
    def __call__(self, x, _: Any = None):
        x = x + flax.linen.MultiHeadDotProductAttention(num_heads=4)(flax.linen.LayerNorm()(x))
        return x + flax.linen.Dense(16)(jax.nn.gelu(flax.linen.Dense(32)(flax.linen.LayerNorm()(x)))), None


class Transformer(flax.linen.Module):
    """Three scanned blocks between tied embeddings, with learned positions."""

    @flax.linen.compact
    def __call__(self, tokens):
        embed = flax.linen.Embed(12, 16)
        positions = self.param("positions", flax.linen.initializers.normal(0.02), (1, 6, 16))
        blocks = flax.linen.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = blocks(name="blocks")(embed(tokens) + positions, None)
        return embed.attend(flax.linen.LayerNorm()(x))


TOKENS = np.zeros((4, 7), np.int32)
STACKED = lpjax.by_path("^blocks/")
NEVER = ("bias", "scale", "embedding", "positions")


@functools.cache
def transformer():
    shapes = jax.eval_shape(Transformer().init, jax.random.key(0), TOKENS[:, :-1])["params"]
    return jax.tree.map(lambda like: np.asarray(draw.normal(size=like.shape), np.float32), shapes)


@pytest.mark.slow
@each_method
@pytest.mark.filterwarnings("ignore:n_of_m")
def test_in_a_scanned_transformer_kernels_alone_are_pruned(name):
    params = own(transformer())
    tx = method(name, adamw(), **({} if name in ("2:4", "snip") else {"stacked": STACKED}))
    state = tx.init(params)
    step = donating(tx, lambda params: sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(params)))
    for _ in range(STEPS):
        params, state = step(params, state)
    mask = lpjax.get_mask(state)
    lpjax.assert_on_mask(params, mask)
    assert lpjax.density(mask) == pytest.approx(0.5 if name == "2:4" else 0.25, abs=1e-4)
    for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
        if sparsity.leaf_name(path).rsplit("/", 1)[-1] in NEVER:
            assert leaf.all()
    if name in ("uniform", "erk", "set", "rigl", "itop", "fixed_mask"):  # whose layers keep their budgets
        for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
            if sparsity.leaf_name(path).endswith("kernel"):
                kept = np.asarray(leaf).reshape(3, -1).sum(1)
                assert kept.max() - kept.min() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels",
    [{"in": {"kernel": "first", "bias": "first"}, "out": {"kernel": "second"}}, {"in": "first", "out": "second"}],
    ids=["labels per leaf", "labels per subtree"],
)
def test_two_sparse_groups_give_the_mask_of_the_whole_network(labels):
    groups = {"first": lpjax.rigl(adamw(), 0.25, every=2, until=4), "second": lpjax.gmp(adamw(), 0.125, every=2, end=4)}
    tx = optax.partition(groups, labels)
    params = own(PARAMS)
    state = tx.init(params)
    step = donating(tx)
    for _ in range(STEPS):
        params, state = step(params, state)
    mask = lpjax.get_mask(state)
    assert lpjax.density_per_leaf(mask) == {"in/kernel": 0.25, "out/kernel": 0.125}
    assert lpjax.density(mask) == 0.1875
    lpjax.assert_on_mask(params, mask)
    assert jax.tree.structure(mask) == jax.tree.structure(params)


@pytest.mark.slow
def test_the_mask_of_one_sparse_group_serves_every_function_that_takes_a_mask():
    tx = optax.partition(
        {"sparse": lpjax.rigl(adamw(), 0.25, every=2, until=4), "frozen": optax.set_to_zero()},
        {"in": {"kernel": "sparse", "bias": "frozen"}, "out": "frozen"},
    )
    params = own(PARAMS)
    state = tx.init(params)
    mask = lpjax.get_mask(state)
    full = lpjax.get_mask(state, params)
    assert jax.tree.map(jnp.shape, full) == jax.tree.map(jnp.shape, params)
    assert lpjax.density(mask) == 0.25
    masked = lpjax.apply_mask(params, mask)
    fixed_mask(adamw(), mask).init(params)
    lpjax.superpose().init(lpjax.Ticket(masked, mask))
    lpjax.pool(lambda params: -loss(params)).init(lpjax.Ticket(masked, mask))


def test_what_was_read_from_a_state_outlives_its_donation():
    given = lpjax.full_mask(own(PARAMS))
    tx = fixed_mask(adamw(), given)
    params = own(PARAMS)
    state = tx.init(params)
    read = lpjax.get_mask(state)
    donating(tx)(params, state)
    assert lpjax.density(given) == lpjax.density(read) == 1.0


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias"], meta_fields=[])
@dataclasses.dataclass
class Callable:
    """A layer as Equinox has it: a pytree that is callable itself."""

    weight: Any
    bias: Any

    def __call__(self, x):
        return self.weight @ x + self.bias


def test_a_network_that_is_a_callable_pytree_trains_on_its_mask():
    params = Callable(jnp.asarray(PARAMS["in"]["kernel"]), jnp.zeros(16))
    tx = lpjax.rigl(adamw(), 0.25, every=2, until=4)
    state = tx.init(params)
    step = donating(tx, lambda layer: jnp.mean((jax.vmap(layer)(Y[:, :8]) - X) ** 2))
    for _ in range(3):
        params, state = step(params, state)
    lpjax.assert_on_mask(params, lpjax.get_mask(state))
    assert lpjax.density_per_leaf(lpjax.get_mask(state)) == {"weight": 0.25}
    assert "weight" in lpjax.summary(params, lpjax.get_mask(state))
