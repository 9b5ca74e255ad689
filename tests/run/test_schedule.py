"""When masks are updated, tickets are collected and learning rates change."""

import numpy as np
import pytest

from lpjax import run
from lpjax.errors import UserError
from lpjax.run.schedule import cyclical_learning_rate, schedules
from tests.run.stand_ins import SPARSE_TIMING


def steps(duration):
    """Three steps per epoch."""
    return int(duration[:-2]) * (3 if duration.endswith("ep") else 1)


def config_of(**changes):
    config = run.default_config()
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in (SPARSE_TIMING | changes).items()}
    )
    return config


def test_a_seed_has_a_base_network_and_sup_tickets_whose_masks_are_updated_once_per_cycle():
    base, cheap = schedules(config_of(), steps)
    assert (base.name, base.phases, dict(base.collect)) == ("base network", (18, 3, 0), {0: 18})
    assert (list(base.updates), base.explore, base.until) == ([2, 4, 6, 8, 10, 12, 14, 16], [], 16)
    assert (cheap.name, cheap.phases, dict(cheap.collect)) == ("Sup-tickets", (9, 3, 3), {1: 12, 2: 15, 3: 18})
    assert (list(cheap.updates), cheap.explore, cheap.until) == ([2, 4, 6, 8, 10, 13, 16], [10, 13, 16], 9)


@pytest.mark.parametrize(
    ("method", "updates"),
    [
        ("dense", []),
        ("erk", []),  # keeps its mask
        ("snip", []),  # chooses it in the first step, and keeps it
        ("set", [2, 4, 6, 8, 10, 12, 14, 16]),
        ("2:4", [6]),  # at sparse.prune_until
    ],
)
def test_a_mask_is_updated_as_its_row_of_the_table_says(method, updates):
    (base,) = schedules(config_of(sparse__method=method, superpose__share=0.0), steps)
    assert list(base.updates) == updates


def test_fge_collects_in_the_middle_of_its_cycles():
    config = config_of(superpose__shape="fge", superpose__cycle="6it", superpose__share=0.7)
    _, cheap = schedules(config, steps)
    assert cheap.phases == (6, 6, 2)
    assert cheap.collect == {1: 9, 2: 15}
    rate = cyclical_learning_rate(config, steps, cheap.phases)
    assert float(rate(8)) == float(rate(14)) == np.float32(0.01)


def test_milestones_keep_their_share_of_ordinary_training_as_on_cifar():
    config = config_of(train__duration="250ep", train__milestones=("125ep", "187ep"), sparse__every="100it")
    config.superpose.share, config.superpose.cycle = 0.1, "8ep"
    base, cheap = schedules(config, steps)
    assert cheap.phases == (226 * 3, 24, 3)
    for schedule, first, second in ((base, 125, 187), (cheap, 113, 169)):
        rate = cyclical_learning_rate(config, steps, schedule.phases)
        rates = [float(rate(3 * epoch + offset)) for epoch in (first, second) for offset in (-1, 0)]
        np.testing.assert_allclose(rates, [0.1, 0.01, 0.01, 0.001], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"superpose__share": 0.1}, "superpose.share"),
        ({"sparse__every": "1000it"}, "sparse.every"),
        ({"sparse__method": "granet", "sparse__prune_until": "4ep"}, "sparse.prune_until"),
        ({"sparse__method": "granet", "sparse__prune_until": "0ep"}, "sparse.prune_until"),
    ],
)
def test_times_that_do_not_fit_are_refused_in_one_line(changes, field):
    with pytest.raises(UserError, match=field) as refusal:
        schedules(config_of(**changes), steps)
    assert "\n" not in str(refusal.value)


def test_times_that_do_not_fit_are_refused_before_training(tmp_path, tiny_config):
    config = tiny_config(sparse__method="rigl")
    with pytest.raises(UserError, match=r"superpose\.share"):
        run.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
