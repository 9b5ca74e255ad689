"""What training costs: every step is charged with the mask it was taken with."""

from types import SimpleNamespace

import pytest

from lpjax.run.costs import cost
from lpjax.train import Phases


def spent(method, changes, steps, old, new, *, until=100, explore="none"):
    """Charges steps of a run whose masks change every 10 steps."""
    config = SimpleNamespace(
        sparse=SimpleNamespace(method=method, every="10it"), superpose=SimpleNamespace(explore=explore)
    )
    job = SimpleNamespace(config=config, steps=lambda duration: int(duration.removesuffix("it")))
    return cost(job, SimpleNamespace(changes=changes, phases=Phases(100, 20, 2), until=until), steps, old, new)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], 12 * 0.5),
        ([10], 10 * 0.5 + 2 * 0.1),
        ([12], 12 * 0.5),
        ([4, 10], 4 * 0.5 + 6 * 0.3 + 2 * 0.1),
        ([13, 100], 12 * 0.5),
    ],
)
def test_a_step_is_charged_with_the_mask_it_was_taken_with(changes, expected):
    new = 0.1 if [step for step in changes if step < 12] else 0.5
    assert spent("set", changes, range(12), 0.5, new) == pytest.approx(expected)


def test_the_batch_that_chooses_snips_mask_is_free():
    assert spent("snip", [], range(12), 1.0, 0.1) == pytest.approx(1.2)


def test_a_dense_gradient_is_charged_only_while_masks_change():
    during, after = (spent("rigl", [], steps, 0.1, 0.1, until=50) for steps in (range(40, 50), range(50, 60)))
    assert after == pytest.approx(1.0)
    assert during == pytest.approx(10 * (3 * 0.1 + 0.9 / 11) / 3)


def test_exploring_by_gradient_costs_a_dense_gradient_a_cycle():
    assert spent("erk", [], range(100, 120), 0.1, 0.1, explore="gradient") == pytest.approx(20 * (0.3 + 0.9 / 21) / 3)
