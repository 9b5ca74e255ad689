"""Iterative pruning as OpenLTH's ImageNet protocol has it: its numbers, and all of it on a small data set."""

import importlib.util
import itertools
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax import data, models, run, sparsity, store, tickets, train
from lpjax.report import reading
from lpjax.run import imp, training
from lpjax.run.setup import SeedKeys, learning_rate, masked_sgd, prepare
from lpjax.store import paths
from lpjax.types import Batch, Variables
from tests.run.stand_ins import Count

pytestmark = pytest.mark.slow  # each needs a run of its own


CONFIGS = Path(__file__).parents[2] / "configs"
RATES = (
    *((0, 0), (1, 6.389776e-5), (1252, 0.08), (6259, 0.39993610), (6260, 0.4)),
    *((37559, 0.4), (37560, 0.04), (75120, 0.004), (100160, 4e-4), (112679, 4e-4)),
)
LEVELS = range(3)
REWIND_STEP, LAST_STEP = 3, 9


def imagenet_config(depth):
    path = CONFIGS / f"imagenet_resnet{depth}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.mark.parametrize(("depth", "total", "last"), [(18, 11_678_912, 1_959_390), (34, 21_779_648, 3_654_013)])
def test_the_configs_have_openlth_s_rates_and_counts(depth, total, last, monkeypatch):
    def as_many_images(*_, **__):
        images, few = (
            np.zeros((1_281_167, 1, 1, 3), np.uint8),
            Batch(np.zeros((8, 1, 1, 3), np.uint8), np.zeros(8, int)),
        )
        everything = Batch(images, np.zeros(len(images), np.int32))
        return data.Dataset("imagenet2012", everything, few, few, 1000, (0.5,) * 3, (0.2,) * 3)

    monkeypatch.setattr(data, "load", as_many_images)
    config = imagenet_config(depth)
    config.stream.size = 0  # as many images, none of them read
    setup = prepare(run.resolve(config))
    assert setup.steps_per_epoch == 1252
    assert (setup.steps(config.train.duration), setup.steps(config.imp.rewind)) == (112_680, 6260)
    steps, rates = zip(*RATES, strict=True)
    rate = learning_rate(setup.config, setup.steps)
    np.testing.assert_allclose([rate(step) for step in steps], rates, rtol=1e-6)
    kept = [sparsity.total(setup.network.mask, setup.network.prunable)]
    for _ in range(1, config.imp.levels):
        kept.append(tickets.RULES[config.imp.count_rule](kept[-1], config.imp.prune_fraction, 0))
    assert (kept[0], kept[8], len(kept)) == (total, last, 9)
    settings = (config.train.momentum, config.train.weight_decay, config.imp.ticket, config.imp.dense)
    assert settings == (0.9, 1e-4, "last", "rewound")
    cut = imagenet_config(depth).stream
    assert (cut.size, cut.resize, cut.area, cut.ratio) == (224, 256, (0.1, 1.0), (0.8, 1.25))


@pytest.fixture(scope="module")
def small_config(tmp_path_factory, paint):
    """Makes the config of the paper's ResNet-18, for 48 images in four colors and three short levels."""
    folder, home = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("tfds")
    paint(folder, {"train": 16, "test": 4}, lambda draw: (32, 32), "png")
    data.prepare_folder("colors", folder, home)

    def make():
        config = imagenet_config(18)
        config.dataset, config.data_dir, config.validation = "colors", str(home), 16
        config.stream.size = 0  # they are of one size, and fit in memory
        config.width = 4
        config.train.batch_size = 16
        config.train.duration, config.train.milestones, config.train.warmup = "3ep", ("2ep",), "1ep"
        config.imp.rewind, config.imp.levels = "1ep", len(LEVELS)
        config.pool.methods, config.pool.coefficients = ("interpolation",), (0.25, 0.5)
        config.pool.recalibrate = "32"
        return config

    return make


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "small"


@pytest.fixture(scope="module")
def setup(workdir, small_config):
    """A finished run; its network has two stages of one block, which compile faster than four of two."""
    name, networks = "imagenet_resnet18", models.MODELS
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks, name, partial(networks[name].func, (1, 1), **networks[name].keywords))
        return run.run(small_config(), workdir)


def ticket_of(workdir, number):
    return store.restore_ticket(paths.ticket(paths.level(workdir, 0, number)))


def rewind_point(workdir):
    return Variables(**store.restore(paths.rewind(workdir, 0))["start"])


def test_every_level_loses_a_fifth_and_one_more_with_the_classifier_counted(setup, workdir):
    kept = [store.read_json(paths.summary(paths.level(workdir, 0, n)))["kept"] for n in LEVELS]
    shapes = setup.network.like.params
    assert kept[0] == sum(leaf.size for leaf in jax.tree.leaves(shapes) if leaf.ndim in (2, 4))
    for before, after in itertools.pairwise(kept):
        assert after == before - int(np.ceil(0.2 * before)) - 1
    assert ticket_of(workdir, 2).mask.params["fc"]["kernel"].shape == (8, 4)


def test_the_next_mask_follows_from_the_ticket_s_own_weights_as_openlth_cuts_it(setup, workdir):
    del setup
    for n in LEVELS[:-1]:
        here, after = ticket_of(workdir, n), ticket_of(workdir, n + 1)
        prunable = {name: mask for name, mask in sparsity.named_leaves(here.mask).items() if mask.ndim in (2, 4)}
        weights = {name: np.abs(sparsity.named_leaves(here.params)[name]) for name in prunable}
        living = np.sort(np.concatenate([weights[name][mask] for name, mask in prunable.items()]))
        threshold = living[int(np.ceil(0.2 * living.size))]
        for name, mask in prunable.items():
            np.testing.assert_array_equal(sparsity.named_leaves(after.mask)[name], mask & (weights[name] > threshold))


def test_every_level_the_dense_one_included_trains_from_the_rewind_point_to_its_last_weights(setup, workdir):
    start, key = rewind_point(workdir), SeedKeys.of(0).train
    for n in LEVELS:
        ticket = ticket_of(workdir, n)
        variables = start._replace(params=sparsity.apply_mask(start.params, ticket.mask.params))
        optimizer = masked_sgd(setup, jax.tree.map(jnp.asarray, ticket.mask.params))
        *_, last = train.fit(
            setup.training_step("imp", optimizer),
            train.initial_state(jax.tree.map(jnp.asarray, variables), optimizer, REWIND_STEP),
            setup.data.feed,
            jax.random.fold_in(key, n),
            images=setup.data.size,
            batch_size=setup.config.train.batch_size,
            stop=LAST_STEP,
        )
        jax.tree.map(np.testing.assert_array_equal, ticket.params, jax.device_get(last.state.variables))


def test_the_steps_of_the_dense_level_are_counted_from_the_rewind_point(setup, workdir):
    lines = [store.read_jsonl(paths.metrics(paths.level(workdir, 0, n))) for n in LEVELS]
    assert [[line["epoch"] for line in level] for level in lines] == [[1, 2, 3], [2, 3], [2, 3]]
    rate = learning_rate(setup.config, setup.steps)
    for level_lines in lines:
        for line in level_lines:
            assert line["learning_rate"] == pytest.approx(float(rate(line["step"] - 1)))
    assert [line["learning_rate"] for line in lines[0]] == pytest.approx([0.4 * 2 / 3, 0.4, 0.04])
    for n in LEVELS:
        assert store.read_json(paths.summary(paths.level(workdir, 0, n)))["epoch"] == 3


def test_pools_keep_the_classifier_sparse_and_everything_is_measured(setup, workdir):
    del setup
    rows = store.read_results(paths.results(workdir))
    assert len(rows) == 2 * len(LEVELS) * (2 * 3 + 6)
    for n in LEVELS:
        pool = store.restore_ticket(paths.ticket(paths.pool(workdir, 0, "interpolation", n)))
        assert int(sparsity.kept(pool.mask)) == int(sparsity.kept(ticket_of(workdir, n).mask))
        assert pool.mask.params["fc"]["kernel"].shape == (8, 4)
    assert set(reading.epochs(workdir)["level"]) == set(LEVELS)


def test_a_run_that_lost_its_dense_level_and_its_last_ends_with_the_same_bytes(
    setup, workdir, small_config, tmp_path, monkeypatch
):
    resumed = tmp_path / "resumed"
    shutil.copytree(workdir, resumed)
    for directory in (*(paths.level(resumed, 0, n) for n in (0, 2)), paths.rewind(resumed, 0)):
        shutil.rmtree(directory)
    shutil.rmtree(resumed / "seed_0" / "pools")
    monkeypatch.setattr(run, "prepare", lambda _: setup)  # spares compiling it again
    run.run(small_config(), resumed)
    assert paths.results(resumed).read_bytes() == paths.results(workdir).read_bytes()
    jax.tree.map(np.testing.assert_array_equal, rewind_point(resumed), rewind_point(workdir))
    for n in LEVELS:
        jax.tree.map(np.testing.assert_array_equal, ticket_of(resumed, n), ticket_of(workdir, n))


def trained(config, directory, number=0):
    """Trains one level of a small run, of a network that compiles at once."""
    config.model = "tests.networks:one_convolution"
    setup, keys, progress = prepare(run.resolve(config)), SeedKeys.of(0), Count()
    state = imp._imp(setup, keys).init(setup.network.initialize(keys.initial))._replace(level=number)
    result = imp._train_level(setup, directory, number, state, keys.train, progress)
    return setup, result, progress.done


@pytest.mark.parametrize("rewind", ["0it", "final"])
def test_without_a_rewind_point_to_reach_the_dense_level_is_the_same(tiny_config, tmp_path, rewind):
    results = []
    for dense in ("whole", "rewound"):
        config = tiny_config(imp__rewind=rewind, imp__dense=dense, train__duration="1ep")
        _, result, _ = trained(config, tmp_path / dense)
        results.append(jax.device_get((result.best, result.state, result.rewind_point)))
        assert (tmp_path / dense / "metrics.jsonl").exists()
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_a_rewind_point_amid_an_epoch_ends_the_pretraining_s_last_and_is_counted(tiny_config, tmp_path):
    setup, _, seen = trained(tiny_config(imp__dense="rewound"), tmp_path)
    lines = store.read_jsonl(paths.metrics(tmp_path))
    assert [line["step"] for line in lines] == [3, 4, 6, 9]
    assert seen == imp._epochs(setup, [0]) == 4
    assert imp._epochs(setup, [1]) == 2
    assert imp._epochs(setup, [0, 1, 2]) == 8


@pytest.mark.parametrize(("dense", "epoch"), [("whole", 1), ("rewound", 2)])
def test_weights_before_the_rewind_point_are_no_ticket_where_the_dense_level_restarts(
    tiny_config, tmp_path, monkeypatch, dense, epoch
):
    values = iter((0.9, 0.5, 0.4))
    monkeypatch.setattr(training, "validation_accuracy", lambda *_: next(values))
    setup, result, _ = trained(tiny_config(imp__dense=dense, imp__rewind="1ep"), tmp_path)
    assert imp.chosen_epoch(setup, tmp_path)["epoch"] == epoch
    same = jax.tree.map(lambda a, b: bool((a == b).all()), result.best, result.rewind_point)
    assert all(jax.tree.leaves(same)) == (dense == "whole")
