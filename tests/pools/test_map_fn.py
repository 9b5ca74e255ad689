"""On eight devices a search takes the decisions of one, whichever way its work is shared; all devices end alike."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.tree_util import Partial

from lpjax.pools import INTERPOLATION, METHODS, pool
from lpjax.sparsity import kept, select
from lpjax.train import mesh_of, replicate, shard_batch, sharded_map
from lpjax.types import Ticket

KEY = jax.random.key(0)
SIZE, IMAGES = 12, 20


@pytest.fixture(scope="module")
def eight():
    assert len(jax.devices()) == 8, "these tests need XLA_FLAGS=--xla_force_host_platform_device_count=8"
    return mesh_of()


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(IMAGES, SIZE)), jnp.float32)


def sixteenths(seed, count=SIZE):
    """Weights whose mixes are exact, so that ties are ties on any number of devices."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-8, 9, SIZE) / 16
    weights[rng.permutation(SIZE)[count:]] = 0
    return {"w": jnp.asarray(weights[:, None], jnp.float32), "mean": jnp.zeros(())}


def measures(images, mesh):
    """Validation and recalibration that look at images: at all, or at a share of them on each device of a mesh."""

    def distances(images, params, rows, axis_name):
        sums = jnp.sum((images[rows] @ (params["w"] - sixteenths(99)["w"])) ** 2)
        return sums if axis_name is None else lax.psum(sums, axis_name)

    def mean(images, params, rows, axis_name):
        share = (images[rows] @ params["w"]).mean()
        return share if axis_name is None else lax.pmean(share, axis_name)

    def evaluate(images, params):
        return -shard_batch(Partial(distances, images, params), mesh)(jnp.arange(16)) - params["mean"] ** 2

    def recalibrate(images, params, key):
        rows = jax.random.permutation(key, IMAGES)[:16]
        return {**params, "mean": shard_batch(Partial(mean, images, params), mesh)(rows)}

    return Partial(evaluate, images), Partial(recalibrate, images)


def searched(method, state_of=lambda state: state, candidates=3):
    anchor = sixteenths(0, count=6)
    state = state_of(method.init(Ticket(anchor, {"w": anchor["w"] != 0, "mean": np.True_}), KEY))
    trials = []
    for seed in range(1, 1 + candidates):
        state, trial = method.step(state, sixteenths(seed))
        trials.append(trial)
    return state, trials


@pytest.mark.slow
@pytest.mark.parametrize(
    "coefficients", [INTERPOLATION, (0.5,), pytest.param((0.0, 0.25, 0.5), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("how", ["grid", "images"])
def test_eight_devices_decide_as_one(eight, images, how, coefficients):
    alone = searched(pool(*measures(images, None), coefficients=coefficients))
    everywhere, map_fn = replicate(images, eight), {"map_fn": sharded_map(eight)} if how == "grid" else {}
    method = pool(*measures(everywhere, None if how == "grid" else eight), coefficients=coefficients, **map_fn)
    state, trials = searched(method, partial(replicate, mesh=eight))
    assert int(alone[0].accepted) > 0
    np.testing.assert_array_equal(state.mask["w"], alone[0].mask["w"])
    for trial, expected in zip(trials, alone[1], strict=True):
        assert (bool(trial.accepted), float(trial.coefficient)) == (
            bool(expected.accepted),
            float(expected.coefficient),
        )
        np.testing.assert_allclose(trial.values, expected.values, rtol=1e-5)
    np.testing.assert_allclose(state.params["w"], alone[0].params["w"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["grid", "images"])
def test_every_device_ends_with_the_same_anchor_bit_for_bit(eight, images, how):
    map_fn = {"map_fn": sharded_map(eight)} if how == "grid" else {}
    method = pool(*measures(replicate(images, eight), None if how == "grid" else eight), **map_fn)
    state, trials = searched(method, partial(replicate, mesh=eight), candidates=2)
    for leaf in jax.tree.leaves((state._replace(key=0), trials, method.ticket(state))):
        if isinstance(leaf, jax.Array):
            copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
            assert len(copies) == 8
            for copy in copies[1:]:
                np.testing.assert_array_equal(copy, copies[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"recalibration_batches": "fresh"}, {"chunk": 2}, {"prune": "after", "accept": "always"}, {"coarse_stride": 3}],
)
def test_the_engines_other_choices_stay_what_they_are(eight, images, settings):
    alone = pool(*measures(images, None), coefficients=INTERPOLATION[:5], **settings)
    dealt = pool(
        *measures(replicate(images, eight), None),
        coefficients=INTERPOLATION[:5],
        map_fn=sharded_map(eight),
        **settings,
    )
    expected, _ = searched(alone, candidates=2)
    state, _ = searched(dealt, partial(replicate, mesh=eight), candidates=2)
    assert (int(state.accepted), int(state.tried)) == (int(expected.accepted), 2)
    np.testing.assert_array_equal(dealt.ticket(state).mask["w"], alone.ticket(expected).mask["w"])
    np.testing.assert_allclose(state.params["mean"], expected.params["mean"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_grid_in_which_nothing_is_a_number_is_refused_by_all_devices(eight):
    lost = pool(lambda params: jnp.nan * params["w"][0, 0], map_fn=sharded_map(eight))
    state, trials = searched(lost, partial(replicate, mesh=eight), candidates=1)
    assert not trials[0].accepted
    assert jnp.isnan(trials[0].values).all()
    assert trials[0].values.shape == (len(INTERPOLATION),)
    np.testing.assert_array_equal(state.params["w"], sixteenths(0, count=6)["w"])


@pytest.mark.slow
def test_the_released_search_may_share_its_grid_too(eight, images):
    def final(map_fn, images):
        method = METHODS["reference"].build(*measures(images, None), coefficients=INTERPOLATION[:4], **map_fn)
        method = method._replace(init=partial(method.init, value=-1e3))
        return searched(method, candidates=1)[0]

    state = final({"map_fn": sharded_map(eight)}, replicate(images, eight))
    np.testing.assert_array_equal(state.mask["w"], final({}, images).mask["w"])
    assert int(state.kept) in (5, 6)


def test_masks_are_chosen_alike_by_all_devices_among_ties(eight):
    scores = replicate({"w": jnp.ones((1, 64)).at[0, 5].set(2)}, eight)
    chosen = jax.jit(select)(scores, replicate({"w": jnp.ones((1, 64), bool)}, eight), replicate(jnp.int32(7), eight))
    first, *others = (np.flatnonzero(shard.data) for shard in chosen["w"].addressable_shards)
    assert len(first) == int(kept(chosen)) == 7
    assert 5 in first
    assert len(others) == 7
    for other in others:
        np.testing.assert_array_equal(other, first)
