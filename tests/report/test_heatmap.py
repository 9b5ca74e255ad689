import numpy as np
import pandas as pd
import pytest

from lpjax.report import heatmap

pytestmark = pytest.mark.slow  # draws

TICKETS = (0.7, 0.72, 0.6)
PAIRS = {(0, 1): 0.75, (0, 2): 0.65, (1, 2): 0.68}


def table(levels=3, seeds=(0, 1), values=None):
    """Every pair of three tickets; the second seed is a point better."""
    measured = values or {(n, n): v for n, v in enumerate(TICKETS)} | PAIRS
    rows = [
        (seed, first, second, 0.8**second, value + 0.01 * seed)
        for seed in seeds
        for (first, second), value in measured.items()
        if second < levels
    ]
    return pd.DataFrame(rows, columns=["seed", "first", "second", "density", "accuracy"])


def many(levels, collapsed=False):
    drop = 0.3 if collapsed else 0.01
    return table(levels, (0,), {(a, b): 0.75 - drop * (b - a) for b in range(levels) for a in range(b + 1)})


def drawn(axes):
    return np.asarray(axes.images[0].get_array())


def numbers(axes):
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}


def test_the_matrix_is_symmetric_in_points_of_the_mean_over_seeds():
    axes, _ = heatmap.pairs([("with rewinding", table())]).axes
    assert drawn(axes) == pytest.approx(np.array([[70.5, 75.5, 65.5], [75.5, 72.5, 68.5], [65.5, 68.5, 60.5]]))
    assert axes.get_title() == "with rewinding"
    assert numbers(axes)[0, 1] == numbers(axes)[1, 0] == "75.5"
    assert len(numbers(axes)) == 9


def test_the_tickets_are_framed():
    axes, _ = heatmap.pairs([("", table())]).axes
    assert [patch.get_xy() for patch in axes.patches] == [(n - 0.5, n - 0.5) for n in range(3)]


def test_panels_share_one_color_scale_and_one_bar():
    figure = heatmap.pairs([("with", table()), ("without", table(seeds=(0,)))])
    left, right, bar = figure.axes
    assert left.images[0].get_clim() == right.images[0].get_clim() == pytest.approx((60, 75.5))
    assert bar.get_ylabel() == "test accuracy (%)"
    assert [axes.get_title() for axes in (left, right)] == ["with", "without"]


def test_collapsed_pairs_do_not_use_up_the_scale():
    values = {(n, n): v for n, v in enumerate(TICKETS)} | dict.fromkeys(PAIRS, 0.1)
    figure = heatmap.pairs([("with", table()), ("without", table(values=values))])
    assert figure.axes[0].images[0].get_clim() == pytest.approx((2 * 60.5 - 75.5, 75.5))
    assert numbers(figure.axes[1])[2, 0] == "10.5"
    whole = heatmap.pairs([("without", table(values=values))], lowest=0)
    assert whole.axes[0].images[0].get_clim()[0] == 0


def test_a_pair_that_was_not_measured_is_blank():
    missing = {(n, n): v for n, v in enumerate(TICKETS)} | {(0, 1): 0.75, (1, 2): 0.68}
    axes, _ = heatmap.pairs([("", table(values=missing))]).axes
    assert np.isnan(drawn(axes)).tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    assert len(numbers(axes)) == 7


def test_levels_are_named_by_density_where_it_is_known():
    by_density, _ = heatmap.pairs([("", table())]).axes
    by_level, _ = heatmap.pairs([("", table().drop(columns="density"))]).axes
    assert [label.get_text() for label in by_density.get_xticklabels()] == ["1", "0.8", "0.64"]
    assert [label.get_text() for label in by_level.get_yticklabels()] == ["0", "1", "2"]
    assert (by_density.get_xlabel(), by_level.get_ylabel()) == ("density", "level")


def test_many_levels_are_summed_up_above_the_panel_instead():
    axes, _ = heatmap.pairs([("without rewinding", many(13))]).axes
    assert not axes.texts
    assert axes.get_title() == "without rewinding\npairs 63.0 to 74.0 %; tickets 75.0 to 75.0 %"
    assert len(heatmap.pairs([("", many(12))]).axes[0].texts) == 144


def test_one_ticket_alone_is_a_figure():
    axes, _ = heatmap.pairs([("", table(levels=1))]).axes
    assert numbers(axes) == {(0, 0): "70.5"}


@pytest.mark.parametrize(("levels", "count"), [(2, 2), (10, 1), (12, 2), (19, 1), (19, 2)])
def test_everything_written_can_be_read(levels, count, crowded):
    figure = heatmap.pairs([("with rewinding", many(levels)), ("without rewinding", many(levels, True))][:count])
    assert crowded(figure) == []
    assert figure.get_figwidth() <= 6.75 + 1e-6


@pytest.mark.parametrize("panels", [[], [("", table(levels=0))]])
def test_nothing_to_draw_is_refused(panels):
    with pytest.raises(ValueError, match="pairs"):
        heatmap.pairs(panels)
