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
    ("field", "value", "message"),
    [
        ("model", "vgg61", "did you mean 'vgg16'"),
        ("dtype", "float8", "unknown dtype"),
        ("train.schedule", "stpe", "did you mean 'step'"),
        ("train.duration", "182", "epochs as '182ep'"),
        ("train.duration", "0ep", "one epoch"),
        ("train.momentum", 1.0, r"in \[0, 1\)"),
        ("train.learning_rate", 0.0, "above 0"),
        ("train.batch_size", 0, "1 or more"),
        ("imp.prune_fraction", 1.5, r"in \(0, 1\)"),
        ("imp.prune_fraction", 0.0, r"in \(0, 1\)"),
        ("imp.rewind", "nine", "is none"),
        ("imp.scope", "local", "unknown imp.scope"),
        ("imp.score", "magnitud", "did you mean 'magnitude'"),
        ("imp.rule", "keras", "choose one of openlth, torch"),
        ("imp.ticket", "first", "choose one of best, last"),
        ("imp.prunable", "dense", "path:REGEX"),
        ("imp.levels", 0, "1 or more"),
        ("pool.methods", ("interpolatoin",), "did you mean 'interpolation'"),
        ("pool.coefficients", (0.5, 1.5), "holds 1.5"),
        ("pool.coefficients", (), "one or more"),
        ("pool.recalibrate", "some", "or 'full'"),
        ("pool.recalibrate", "0", "or 'full'"),
        ("pool.methods", ("swa", "swa"), "names one twice"),
        ("pool.coefficients", ("a",), "holds a"),
        ("imp.prunable", "path:(", "no regular expression"),
        ("imp.levls", 3, "did you mean 'imp.levels'"),
        ("train.milestones", (91,), "epochs as '182ep'"),
        ("width", 3, "even number"),
        ("seeds", (0, "a"), "different integers"),
        ("pool.accept", "=>", "unknown pool.accept"),
        ("pool.chunk", 0, "1 or more"),
        ("seeds", (), "one or more"),
        ("seeds", (1, 1), "different"),
        ("validation", 0, "1 or more"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(field, value, message):
    config = run.default_config()
    set_field(config, field, value)
    with pytest.raises(ValueError, match=message) as refusal:
        run.check(config)
    assert "\n" not in str(refusal.value)


def test_a_config_that_lacks_a_field_is_refused():
    config = run.default_config()
    del config.imp["rewind"]
    with pytest.raises(ValueError, match=r"lacks 'imp\.rewind'"):
        run.check(config)


def test_more_levels_than_weights_are_refused_before_training(tmp_path):
    config = run.default_config()
    config.dataset, config.validation, config.model = "digits", 500, "resnet8"
    config.imp.prune_fraction = 0.99
    with pytest.raises(ValueError, match="leaves no weight; ask for fewer"):
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
    with pytest.raises(ValueError, match="not before the end of training"):
        run.run(config, tmp_path / "run")
