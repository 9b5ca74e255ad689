"""What is refused before any work begins."""

import pytest

from lpjax import run


def set_field(config, field, value):
    *rooms, name = field.split(".")
    for room in rooms:
        config = config[room]
    with config.ignore_type():
        config[name] = value


def test_the_defaults_are_sound():
    run.check(run.default_config())


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("model", "vgg61", "model 'vgg61'"),
        ("dtype", "float8", "dtype 'float8'"),
        ("train.schedule", "stpe", "schedule 'stpe'"),
        ("train.duration", "182", r"duration.*'182'"),
        ("train.duration", "0ep", "train.duration"),
        ("train.momentum", 1.0, "train.momentum"),
        ("train.learning_rate", 0.0, "train.learning_rate"),
        ("train.batch_size", 0, "train.batch_size"),
        ("imp.prune_fraction", 1.5, "prune_fraction"),
        ("imp.prune_fraction", 0.0, "prune_fraction"),
        ("imp.rewind", "nine", r"duration.*'nine'"),
        ("imp.scope", "local", "imp.scope"),
        ("imp.score", "magnitud", "'magnitud'"),
        ("imp.count_rule", "keras", "count_rule 'keras'"),
        ("imp.ticket", "first", "ticket 'first'"),
        ("imp.prunable", "dense", "imp.prunable"),
        ("imp.levels", 0, "imp.levels"),
        ("pool.methods", ("interpolatoin",), "'interpolatoin'"),
        ("pool.coefficients", (0.5, 1.5), "1.5"),
        ("pool.coefficients", (), "pool.coefficients"),
        ("pool.recalibrate", "some", "pool.recalibrate"),
        ("pool.recalibrate", "0", "pool.recalibrate"),
        ("pool.methods", ("swa", "swa"), "pool.methods"),
        ("pool.coefficients", ("a",), "pool.coefficients"),
        ("imp.prunable", "path:(", "imp.prunable"),
        ("imp.levls", 3, r"imp.levls.*imp.levels"),
        ("train.milestones", (91,), r"duration.*91"),
        ("width", 3, "width"),
        ("seeds", (0, "a"), "seeds"),
        ("pool.accept", "=>", "pool.accept"),
        ("pool.chunk", 0, "pool.chunk"),
        ("seeds", (), "seeds"),
        ("seeds", (1, 1), "seeds"),
        ("validation", 0, "validation"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(field, value, named):
    config = run.default_config()
    set_field(config, field, value)
    with pytest.raises(ValueError, match=named) as refusal:
        run.check(config)
    assert "\n" not in str(refusal.value)


def test_a_config_that_lacks_a_field_is_refused():
    config = run.default_config()
    del config.imp["rewind"]
    with pytest.raises(ValueError, match=r"imp\.rewind"):
        run.check(config)


def test_more_levels_than_weights_are_refused_before_training(tmp_path):
    config = run.default_config()
    config.dataset, config.validation, config.model = "digits", 500, "resnet8"
    config.imp.prune_fraction = 0.99
    with pytest.raises(ValueError, match="level"):
        run.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()  # a mistake binds no work directory


def test_a_rewind_point_beyond_training_is_refused(tmp_path):
    config = run.default_config()
    config.dataset = "digits"
    config.validation = 500
    config.model = "resnet8"
    config.train.duration = "3ep"
    config.train.milestones = ()
    config.imp.rewind = "9ep"
    with pytest.raises(ValueError, match=r"imp\.rewind"):
        run.run(config, tmp_path / "run")
