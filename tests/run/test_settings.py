"""The table of settings: what each is by default, what it may be, and what follows from the table."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_tests
from hypothesis import strategies as st

from lpjax import run
from lpjax.run import settings
from lpjax.run.config import fields, get
from lpjax.run.settings import SETTINGS, all_of, duration, integer, number

DEFAULTS = """
seeds=(0,)
dataset='cifar10'
data_dir=''
validation=5000
train_images=0
augment.crop=4
augment.pad='zero'
augment.flip=True
model='resnet18'
width=0
dtype='auto'
eval_batch_size=500
save_every='1000it'
time_images=0
tensorboard=False
distributed='auto'
stream.size=0
stream.resize=256
stream.area=(0.1, 1.0)
stream.ratio=(0.8, 1.25)
stream.workers=0
stream.prefetch=2
train.duration='182ep'
train.batch_size=128
train.learning_rate=0.1
train.schedule='step'
train.milestones=('91ep', '136ep')
train.decay=0.1
train.warmup='0ep'
train.momentum=0.9
train.weight_decay=0.0001
train.label_smoothing=0.0
train.steps_per_dispatch=1
imp.levels=19
imp.prune_fraction=0.2
imp.rewind='9ep'
imp.prunable='convolutions'
imp.scope='global'
imp.score='magnitude'
imp.count_rule='torch'
imp.ticket='best'
imp.mask_from='last'
imp.dense='whole'
imp.tickets_from=''
sparse.method='none'
sparse.density=0.05
sparse.every='1000it'
sparse.until=1.0
sparse.drop_fraction=0.5
sparse.drop_schedule='constant'
sparse.initial_density=0.5
sparse.prune_until='110ep'
sparse.allocate='erk'
sparse.prunable='kernels'
superpose.averages=('cia',)
superpose.share=0.1
superpose.cycle='8ep'
superpose.low=0.001
superpose.high=0.005
superpose.shape='triangle'
superpose.explore='method'
superpose.drop_fraction=0.5
superpose.decay=0.8
superpose.prune='step'
superpose.scope='global'
superpose.stats='average'
superpose.first='cycle'
superpose.base=True
superpose.ensemble=False
pool.methods=('recalibrated', 'interpolation', 'average', 'best_single', 'swa', 'ema_decay', 'ema_newest', 'uniform')
pool.coefficients=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
pool.coarse_stride=3
pool.candidates=0
pool.accept='>='
pool.prune='during'
pool.recalibrate='4096'
pool.recalibration_batches='shared'
pool.rank_by='batch_statistics'
pool.rank_images=0
pool.chunk=1
pool.spread='auto'
pool.start=()
corruptions.measure='none'
corruptions.dir=''
corruptions.images=0
"""
"""Those of lpjax 0.1: a work directory or a config file that names no value means these."""
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def test_the_defaults_are_those_of_every_work_directory_so_far():
    config = run.default_config()
    assert [f"{field}={get(config, field)!r}" for field in SETTINGS] == DEFAULTS.split("\n")[1:-1]
    assert sorted(fields(config)) == sorted(SETTINGS)


@pytest.mark.parametrize("field", SETTINGS)
def test_every_setting_has_one_line_of_help_and_a_default_of_its_kind(field):
    setting = SETTINGS[field]
    assert setting.help
    assert setting.kind.expected
    assert "\n" not in setting.help + setting.kind.expected
    assert setting.use in ("result", "grows", "free")
    assert setting.problem(field, setting.default) is None


@pytest.mark.parametrize("field", SETTINGS)
@given(ANYTHING)
@settings_of_tests(max_examples=10)
def test_whatever_a_value_is_a_problem_is_one_line_that_names_the_field(field, value):
    problem = SETTINGS[field].problem(field, value)
    assert problem is None or (field in problem and "\n" not in problem)


def test_what_may_differ_from_call_to_call_is_told_apart():
    used = {use: {field for field, setting in SETTINGS.items() if setting.use == use} for use in ("grows", "free")}
    assert used["grows"] == {"seeds", "pool.methods", "superpose.averages"}
    assert used["free"] == {
        "data_dir",
        "distributed",
        "eval_batch_size",
        "save_every",
        "stream.prefetch",
        "stream.workers",
        "tensorboard",
        "time_images",
        "pool.chunk",
        "pool.start",
        "pool.spread",
        "train.steps_per_dispatch",
        "corruptions.dir",
        "corruptions.measure",
        "superpose.base",
        "superpose.ensemble",
    }


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (integer(1), (1, 5), (0, True, 1.0, "1", None)),
        (number("[0, 1)"), (0, 0.5), (1, -0.1, True, "0", float("nan"))),
        (number("(0, 1]"), (1, 0.5), (0, 1.1)),
        (number("(0, inf)"), (1e9,), (0, float("inf"))),
        (duration(1), ("1ep", "3it"), ("0ep", 3, "3", "-1it", None)),
    ],
)
def test_a_kind_accepts_what_its_words_say(kind, inside, outside):
    assert all(kind.accepts(value) for value in inside)
    assert not any(kind.accepts(value) for value in outside)


def test_a_sequence_is_accepted_by_its_length_and_its_elements():
    pair = all_of(number("[0, 1]"), 2, 2)
    assert pair((0, 1))
    assert not any(pair(value) for value in ((0,), (0, 1, 1), (0, 2), "01", 1))


def test_help_and_table_list_every_setting():
    text = settings.help_text()
    rows = settings.table().splitlines()[2:]
    for field, row in zip(SETTINGS, rows, strict=True):
        assert f"--config.{field}=" in text
        assert row.startswith(f"| `{field}` |")
        assert row.replace("\\|", "").count("|") == 5


def test_the_page_of_settings_is_the_table():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    assert page.partition("## All settings\n\n")[2] == settings.table()
