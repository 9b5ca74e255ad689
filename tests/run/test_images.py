"""Streamed runs: processes read their shares of the same batches, and ImageNet configs run on images of many sizes."""

import importlib.util
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from lpjax import data, models, run, store, train
from lpjax.errors import UserError
from lpjax.run import images as images_module
from lpjax.run.connectivity import averaged_pairs_stage, linear_paths_stage
from lpjax.run.evaluate import predict
from lpjax.run.images import load_data, local_positions, place_batch, stream
from lpjax.run.setup import masked_sgd, prepare
from lpjax.store import paths

CONFIGS = Path(__file__).parents[2] / "configs"
LEVELS = range(2)
EPOCH = 4  # steps: 56 images, 16 a batch; the last batch has 8
KEY = jax.random.key(5)


def config_of(name, *argument):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*argument)


@pytest.fixture(scope="module")
def home(tmp_path_factory, paint):
    """A data set of 72 + 20 pictures in four colors and as many sizes, prepared from a folder."""
    folder, home = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("tfds")
    paint(folder, {"train": 18, "test": 5}, lambda draw: draw.integers(30, 70, 2), "jpg")
    data.prepare_folder("pictures", folder, home, any_size=True)
    return home


@pytest.fixture(scope="module")
def small_config(home):
    def make(name="imagenet_resnet18", *argument):
        config = config_of(name, *argument)
        config.dataset, config.data_dir, config.validation = "pictures", str(home), 16
        config.stream.size, config.stream.resize = 32, 36
        config.eval_batch_size, config.width = 8, 4
        config.train.batch_size = 16
        config.train.duration, config.train.milestones, config.train.warmup = "3ep", ("2ep",), "1ep"
        config.imp.rewind, config.imp.levels = "1ep", len(LEVELS)
        config.pool.methods, config.pool.coefficients = ("interpolation",), (0.5,)
        config.pool.recalibrate = "32"
        return config

    return make


@pytest.fixture(scope="module")
def vehicle_config(small_config):
    """Makes the same configs with a network that compiles at once."""

    def make(*arguments):
        config = small_config(*arguments)
        config.model, config.width = "tests.networks:one_convolution", 8
        return config

    return make


@pytest.fixture
def one_block(monkeypatch):
    """Networks of one block a stage compile faster."""
    name = "imagenet_resnet18"
    monkeypatch.setitem(
        models.MODELS, name, partial(models.MODELS[name].func, (1, 1, 1, 1), **models.MODELS[name].keywords)
    )


@pytest.fixture(scope="module")
def pictures(home):
    training, _ = data.open_image_splits("pictures", str(home))
    return training


def on(devices):
    return Mesh(np.array(jax.devices()[:devices]), ("data",))


CROP = data.Crop(8, 9, (0.1, 1.0), (0.8, 1.25))


def feed_of(pictures, mesh, **options):
    return stream(pictures, CROP, mesh, 16, **options)


def on_host(fed):
    return [(np.asarray(batch.images), np.asarray(batch.labels), rows) for batch, rows in fed]


def assert_same(some, others):
    jax.tree.map(np.testing.assert_array_equal, some, others)


# Who reads what


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_processes_read_every_image_of_a_batch_once_and_only_their_own(processes):
    devices = np.array(jax.devices())
    mesh = on(8)
    shares = [local_positions(16, mesh, own) for own in devices.reshape(processes, -1)]
    assert sorted(np.concatenate(shares)) == list(range(16))
    assert {len(places) for places in shares} == {16 // processes}


def test_devices_may_lie_in_any_order():
    devices = np.array(jax.devices())
    mesh = Mesh(devices[[0, 4, 1, 5, 2, 6, 3, 7]], ("data",))
    assert local_positions(16, mesh, devices[:4]).tolist() == [0, 1, 4, 5, 8, 9, 12, 13]


def test_a_batch_that_the_devices_do_not_divide_is_read_whole():
    mesh = on(8)
    assert local_positions(12, mesh, jax.devices()[:1]).tolist() == list(range(12))


def test_shares_of_processes_are_the_parts_of_the_batch_on_their_devices(pictures):
    """Two processes of four devices each, told apart by which rows they read."""
    mesh = on(8)
    rows = np.random.default_rng(0).permutation(72).astype(np.int32)
    fed = list(feed_of(pictures, mesh)(rows, KEY))
    load = data.ImageLoader(pictures, CROP, tuple(jax.random.key_data(KEY).ravel().tolist()))
    for number, (batch, (visited,)) in enumerate(fed):
        np.testing.assert_array_equal(visited, rows[16 * number : 16 * number + 16])
        for first in (0, 4):
            own = jax.devices()[first : first + 4]
            read = data.decode(load, visited[local_positions(len(visited), mesh, own)])
            held = [shard for shard in batch.images.addressable_shards if shard.device in own]
            held = [np.asarray(shard.data) for shard in sorted(held, key=lambda shard: shard.device.id)]
            np.testing.assert_array_equal(np.concatenate(held), read.images)
    assert not fed[0][0].images.is_fully_replicated


def test_one_device_and_eight_threads_and_any_start_feed_the_same_batches(pictures):
    rows = np.random.default_rng(1).permutation(72)[:56].astype(np.int32)
    expected = on_host(feed_of(pictures, on(1))(rows, KEY))
    assert [batch[0].shape[0] for batch in expected] == [16, 16, 16, 8]
    assert_same(on_host(feed_of(pictures, on(8), prefetch=1)(rows, KEY)), expected)
    assert_same(on_host(feed_of(pictures, on(8))(rows[32:], KEY)), expected[2:])
    other = on_host(feed_of(pictures, on(8))(rows, jax.random.key(6)))
    assert all((a[0] != b[0]).any() for a, b in zip(other, expected, strict=True))


def test_a_batch_is_placed_before_it_is_asked_for_and_not_more(pictures, monkeypatch):
    sizes = []

    def counted(batch, size, mesh):
        sizes.append(size)
        return place_batch(batch, size, mesh)

    monkeypatch.setattr(images_module, "place_batch", counted)
    fed = feed_of(pictures, on(8))(np.arange(72, dtype=np.int32), KEY)
    next(fed)
    fed.close()  # waits for what is under way
    assert sizes == [16, 16]


# What is loaded


def test_images_of_many_sizes_are_not_held_in_memory(small_config):
    config = small_config()
    config.stream.size = 0
    with pytest.raises(data.DataError, match=r"stream\.size"):
        load_data(config, on(1))


def test_images_are_held_out_counted_and_normalized_as_those_in_memory(small_config, pictures):
    config = small_config()
    config.train_images = 40
    images = load_data(config, on(1))
    assert (images.size, images.classes, images.shape, images.streamed) == (40, 4, (32, 32, 3), True)
    crop = data.Crop(32, 36, (0.1, 1.0), (0.8, 1.25))
    held_out = data.decode(data.ImageLoader(pictures, crop), range(56, 72))
    assert_same(jax.device_get(images.validation), held_out)
    np.testing.assert_array_equal(
        images.test.labels, data.read_labels(data.open_image_splits("pictures", config.data_dir)[1])
    )
    assert len(images.recalibration_images.labels) == 32
    rows = [i * 40 // 32 for i in range(32)]
    np.testing.assert_array_equal(
        images.recalibration_images.labels, data.decode(data.ImageLoader(pictures, crop, (0,)), rows).labels
    )
    normalized = images.preprocess(jnp.asarray(data.decode(data.ImageLoader(pictures, crop), range(40)).images))
    np.testing.assert_allclose(normalized.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std((0, 1, 2)), 1, rtol=1e-5)
    assert_same(*(jax.device_get(load_data(config, on(1)).recalibration_images) for _ in range(2)))


def test_recalibration_may_ask_for_more_images_than_there_are(small_config):
    config = small_config()
    config.pool.recalibrate = "500"
    assert len(load_data(config, on(1)).recalibration_images.labels) == 56


# Whole runs


def trained(setup, start=None, **options):
    optimizer = masked_sgd(setup, setup.network.mask)
    state = start or train.initial_state(setup.network.initialize(jax.random.key(0)), optimizer)
    events = train.fit(
        setup.training_step("imp", optimizer),
        train.replicate(state, setup.mesh),
        setup.data.feed,
        KEY,
        images=setup.data.size,
        batch_size=setup.config.train.batch_size,
        **options,
    )
    return [(event.step, jax.device_get(event.state), event.metrics) for event in events]


@pytest.mark.slow
def test_eight_devices_train_and_resume_amid_an_epoch_with_the_same_bits(vehicle_config, monkeypatch):
    monkeypatch.setattr(train, "mesh_of", partial(on, 8))
    setup = prepare(run.resolve(vehicle_config()))
    assert (setup.mesh.size, setup.data.size, setup.steps_per_epoch) == (8, 56, EPOCH)
    stop = 2 * EPOCH
    whole = trained(setup, stop=stop)
    assert [step for step, _, _ in whole] == [EPOCH, stop]
    for pause in (2, 5, 7):  # 7: before the smaller last batch
        *_, (step, state, _) = trained(setup, stop=pause)
        assert step == pause
        *_, (_, resumed, seen) = trained(setup, jax.tree.map(jnp.asarray, state), stop=stop)
        assert_same(resumed, whole[-1][1])
        np.testing.assert_array_equal(seen, whole[-1][2][-len(seen) :])


@pytest.mark.slow
@pytest.mark.usefixtures("one_block")
def test_eight_devices_train_as_one(small_config, monkeypatch):
    config = run.resolve(small_config())
    *_, (_, one, seen_by_one) = trained(prepare(config), stop=EPOCH)
    monkeypatch.setattr(train, "mesh_of", partial(on, 8))
    *_, (_, eight, seen) = trained(prepare(config), stop=EPOCH)
    np.testing.assert_allclose(seen, seen_by_one, rtol=1e-3, atol=1e-3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3), eight.variables, one.variables)


@pytest.mark.slow
def test_tickets_pools_and_results_come_of_streamed_images_resumed_or_not(vehicle_config, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    setup = run.run(vehicle_config(), whole)
    rows = store.read_results(paths.results(whole))
    assert {(row.level, row.method) for row in rows} == {(n, m) for n in LEVELS for m in ("ticket", "interpolation")}
    variables, test = setup.network.initialize(jax.random.key(1)), setup.data.test
    decoded = test._replace(images=jnp.asarray(test.images[:]))
    np.testing.assert_allclose(
        predict(setup, variables, test), predict(setup, variables, decoded), rtol=1e-5, atol=1e-5
    )
    run.run_stages(setup, whole, [averaged_pairs_stage(whole, 0, 2)])
    assert len(store.read_json(paths.analysis(whole, 0, "averaged_pairs"))) == 3
    with pytest.raises(UserError, match=r"stream\.size"):
        run.run_stages(setup, whole, [linear_paths_stage(whole, 0, 2)])
    shutil.copytree(whole, resumed)
    shutil.rmtree(paths.level(resumed, 0, 1))
    shutil.rmtree(resumed / "seed_0" / "pools")
    run.run(vehicle_config(), resumed)
    assert paths.results(resumed).read_bytes() == paths.results(whole).read_bytes()


@pytest.mark.slow
def test_cheap_tickets_come_of_streamed_images(vehicle_config, tmp_path):
    config = vehicle_config("suptickets_imagenet_resnet50", "set,0.8")
    config.train.duration, config.superpose.share, config.superpose.cycle = "4ep", 0.5, "1ep"
    config.sparse.every = "2it"
    run.run(config, tmp_path)
    methods = {row.method for row in store.read_results(paths.results(tmp_path))}
    assert {"ticket", "cia"} <= methods
    assert {row.level for row in store.read_results(paths.results(tmp_path))} == {0, 1, 2}
