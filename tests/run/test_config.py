"""What is refused before any work begins, and what identifies a run."""

from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict

from lpjax import models, run
from lpjax.errors import UserError
from lpjax.run.config import as_json, assert_known, get, upgrade, warnings


def default_config():
    """The defaults, for images that are at hand."""
    config = run.default_config()
    config.dataset, config.validation = "digits", 500
    return config


def changed(config, field, value):
    *sections, name = field.split(".")
    for section in sections:
        config = config[section]
    with config.ignore_type():
        config[name] = value


def refused(config):
    with pytest.raises(UserError) as refusal:
        run.check(config)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_the_defaults_are_sound():
    run.check(run.default_config())
    assert warnings(run.default_config()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "vgg61"),
        ("dtype", "float8"),
        ("train.schedule", "stpe"),
        ("train.duration", "182"),
        ("train.duration", "0ep"),
        ("train.momentum", 1.0),
        ("train.learning_rate", 0.0),
        ("train.batch_size", 0),
        ("train.milestones", (91,)),
        ("imp.prune_fraction", 1.5),
        ("imp.prune_fraction", 0.0),
        ("imp.rewind", "nine"),
        ("imp.scope", "local"),
        ("imp.score", "magnitud"),
        ("imp.count_rule", "keras"),
        ("imp.ticket", "first"),
        ("imp.prunable", "dense"),
        ("imp.prunable", "path:("),
        ("imp.levels", 0),
        ("pool.methods", ("interpolatoin",)),
        ("pool.methods", ("swa", "swa")),
        ("pool.coefficients", (0.5, 1.5)),
        ("pool.coefficients", ()),
        ("pool.coefficients", ("a",)),
        ("pool.recalibrate", "some"),
        ("pool.recalibrate", "0"),
        ("pool.accept", "=>"),
        ("pool.chunk", 0),
        ("width", 3),
        ("seeds", (0, "a")),
        ("seeds", ()),
        ("seeds", (1, 1)),
        ("seeds", (2**32,)),
        ("validation", 0),
        ("distributed", "host:1234"),
        ("imp.rewind", "182ep"),  # where training ends
        ("stream.area", (0.5, 0.1)),
        ("stream.area", (0.5, 2.0)),
        ("stream.ratio", (0.0, 1.0)),
        ("corruptions.measure", "some"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name_in_one_line(field, value):
    config = default_config()
    changed(config, field, value)
    assert field in refused(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sparse.method", "rigel"),
        ("sparse.density", 0.0),
        ("sparse.density", 0.3),  # of '2:4', which reaches one density
        ("sparse.initial_density", 1.5),
        ("sparse.drop_fraction", 1.0),
        ("sparse.drop_schedule", "linear"),
        ("sparse.allocate", "er"),
        ("sparse.every", "0it"),
        ("sparse.every", "100"),
        ("sparse.prune_until", "late"),
        ("sparse.until", 1.5),
        ("sparse.prunable", "dense"),
        ("superpose.averages", ("cai",)),
        ("superpose.averages", ("cia", "cia")),
        ("superpose.drop_fraction", -0.1),
        ("superpose.share", 1.0),
        ("superpose.cycle", "0ep"),
        ("superpose.low", 0.1),
        ("superpose.shape", "saw"),
        ("superpose.explore", "random"),
        ("superpose.explore", "gradient"),
        ("superpose.decay", 1.5),
        ("superpose.prune", "during"),
        ("superpose.scope", "local"),
        ("superpose.stats", "none"),
        ("superpose.first", "last"),
        ("imp.tickets_from", "somewhere"),
    ],
)
def test_a_setting_of_sparse_training_that_cannot_work_is_refused_likewise(field, value):
    config = default_config()
    config.sparse.method, config.sparse.density = ("2:4" if value == 0.3 else "gmp"), 0.5
    changed(config, field, value)
    assert field in refused(config)


def test_a_density_is_of_its_method_and_something_is_left_to_train():
    config = default_config()
    config.sparse.method = "dense"
    assert "sparse.density" in refused(config)
    config.sparse.density = 1.0
    run.check(config)
    config.superpose.base, config.superpose.share = False, 0.0
    assert "superpose.base" in refused(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream.resize", 16),
        ("train.steps_per_dispatch", 2),
        ("pool.recalibrate", "full"),
        ("pool.methods", ("reference",)),
        ("corruptions.measure", "all"),
    ],
)
def test_what_needs_images_in_memory_is_refused_where_they_are_streamed(field, value):
    config = default_config()
    config.stream.size = 32
    run.check(config)
    config.update_from_flattened_dict({field: value})
    assert field in refused(config)


@pytest.mark.parametrize(
    ("start", "seeds", "field"),
    [((0.5,), (0,), "pool.start"), ((75.0, 74.0, 73.0), (0,), "pool.start"), ((0.0, 1.0, 0.5), (0, 1), "seeds")],
)
def test_a_replay_needs_a_first_value_per_level_and_one_seed(start, seeds, field):
    config = default_config()
    config.imp.levels, config.pool.methods = 3, ("reference",)
    config.pool.start = (0.0, 1.0, 0.5)
    run.check(config)
    config.pool.start, config.seeds = start, seeds
    assert field in refused(config)


def test_all_problems_are_told_in_one_message_those_of_the_data_too():
    config = default_config()
    config.model, config.train.momentum, config.dataset = "resnet81", 1.5, "nowhere"
    message = refused(config)
    for named in ("model", "resnet8", "train.momentum", "nowhere"):
        assert named in message


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("model", "resnet81", "resnet8"),
        ("sparse.method", "rigel", "rigl"),
        ("train.schedule", "stpe", "step"),
        ("augment.pad", "reflekt", "reflect"),
        ("superpose.shape", "triangel", "triangle"),
    ],
)
def test_a_wrong_name_is_answered_with_the_most_similar_one(field, value, meant):
    config = default_config()
    config.update_from_flattened_dict({field: value})
    assert f"did you mean {meant!r}" in refused(config)


@pytest.mark.parametrize(
    ("field", "meant"), [("imp.levls", "imp.levels"), ("sed", "seeds"), ("pool.newcomers", "pool.candidates")]
)
def test_a_wrong_field_is_answered_with_the_most_similar_or_the_new_one(field, meant):
    config = default_config()
    config.unlock()
    changed(config, field, 3)
    message = refused(config)
    assert field in message
    assert meant in message
    with pytest.raises(UserError, match=meant):
        assert_known(field)


def test_a_config_that_lacks_a_field_is_refused():
    config = default_config()
    del config.imp["rewind"]
    assert "imp.rewind" in refused(config)


@pytest.mark.parametrize(
    ("duration", "milestones", "late"),
    [
        ("60ep", ("91ep", "30ep", "136ep"), ("91ep", "136ep")),
        ("91ep", ("91ep",), ("91ep",)),
        ("500it", ("91ep", "499it"), ()),  # epochs and steps compare only once data are loaded
    ],
)
def test_milestones_that_never_come_give_a_warning(duration, milestones, late):
    config = default_config()
    config.train.duration, config.train.milestones, config.imp.rewind = duration, milestones, "1it"
    run.check(config)
    said = " ".join(warnings(config))
    assert [milestone for milestone in milestones if milestone in said] == list(late)
    config.train.schedule = "cosine"
    assert warnings(config) == []


def test_a_new_row_of_a_table_is_a_choice_at_once(monkeypatch):
    config = default_config()
    config.model = "mine"
    assert "mine" in refused(config)
    monkeypatch.setitem(models.MODELS, "mine", SimpleNamespace())
    run.check(config)


def network(classes, dtype, axis_name=None):
    """Stands for a network of the user's own."""


def test_what_identifies_a_run_is_plain_and_the_same_on_every_process():
    config = default_config()
    config.seeds = (0, 1)
    resolved = run.resolve(config)
    assert isinstance(resolved, ConfigDict)
    assert resolved.dtype == "float32"
    assert "distributed" not in resolved
    assert config.dtype == "auto"
    with config.ignore_type():
        config.model = network
    assert as_json(run.resolve(config))["model"] == f"{__name__}:network"
    assert get(config, "imp.levels") == as_json(config)["imp"]["levels"] == 19


def test_older_configs_are_translated_and_those_of_today_left_alone():
    old = {"imp": {"rule": "torch"}, "pool": {"newcomers": 3, "numbers": "common"}, "sparse": {"thin_until": "2ep"}}
    new = {
        "imp": {"count_rule": "torch"},
        "pool": {
            "candidates": 3,
            "recalibration_batches": "shared",
            "rank_by": "recalibrated",  # these two did not exist
            "coarse_stride": 1,
        },
        "sparse": {"prune_until": "2ep"},
    }
    assert upgrade(old) == new
    assert upgrade(new) == new


def test_more_levels_than_weights_are_refused_before_training(tmp_path, tiny_config):
    with pytest.raises(UserError, match=r"imp\.levels"):
        run.run(tiny_config(imp__prune_fraction=0.99), tmp_path / "run")
    assert not (tmp_path / "run").exists()  # a mistake binds no work directory


def test_a_rewind_point_that_data_put_beyond_training_is_refused(tmp_path, tiny_config):
    with pytest.raises(UserError, match=r"imp\.rewind"):
        run.run(tiny_config(imp__rewind="9it", train__duration="3ep"), tmp_path / "run")  # epochs of three steps
