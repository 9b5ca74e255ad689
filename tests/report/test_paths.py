import itertools

import numpy as np
import pandas as pd
import pytest

from lpjax.report import paths

pytestmark = pytest.mark.slow  # draws

COEFFICIENTS = (0.0, 0.5, 1.0)
SETTINGS = ("rewinding", "no rewinding")
BUMP = {"rewinding": -0.05, "no rewinding": 0.4}


def table(pairs=2, seeds=(0, 1), settings=SETTINGS):
    """Error 0.2 at the tickets, and a bump or dip between them; loss is ten times that; the second seed errs more."""
    rows = [
        (seed, pair, c, metric, setting, scale * (0.2 + BUMP[setting] * (c == 0.5) + 0.02 * seed))
        for seed, setting, pair, c in itertools.product(seeds, settings, range(pairs), COEFFICIENTS)
        for metric, scale in (("error", 1), ("loss", 10))
    ]
    return pd.DataFrame(rows, columns=["seed", "pair", "coefficient", "metric", "setting", "value"])


def heights(pairs=2, seeds=(0, 1)):
    rows = [
        (seed, pair, setting, recalibrated, (0.1 if recalibrated else 0.5) + 0.02 * seed)
        for seed, pair, setting, recalibrated in itertools.product(seeds, range(pairs), SETTINGS, (True, False))
    ]
    return pd.DataFrame(rows, columns=["seed", "pair", "setting", "recalibrated", "barrier"])


def curves(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def ticks(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_the_chain_runs_from_the_dense_ticket_to_the_sparsest():
    loss, error = paths.paths([("digits", table())]).axes
    drawn = curves(error)["with rewinding"]
    np.testing.assert_allclose(drawn.get_xdata(), [0, 0.5, 1, 1, 1.5, 2])
    np.testing.assert_allclose(drawn.get_ydata(), [21, 16, 21, 21, 16, 21])
    np.testing.assert_allclose(curves(error)["without rewinding"].get_ydata(), [21, 61, 21, 21, 61, 21])
    np.testing.assert_allclose(curves(loss)["with rewinding"].get_ydata(), [2.1, 1.6, 2.1, 2.1, 1.6, 2.1])
    assert (loss.get_ylabel(), error.get_ylabel()) == ("test loss (nats)", "test error (%)")
    assert loss.get_title() == "digits"


def test_rows_in_any_order_draw_the_same_chain():
    shuffled = table().sample(frac=1, random_state=0)
    _, error = paths.paths([("", shuffled)]).axes
    np.testing.assert_allclose(curves(error)["with rewinding"].get_ydata(), [21, 16, 21, 21, 16, 21])


def test_a_band_is_one_deviation_over_seeds_and_needs_two():
    _, several = paths.paths([("", table(settings=["rewinding"]))]).axes
    (band,) = several.collections
    low, high = np.sort(band.get_paths()[0].vertices[:, 1])[[0, -1]]
    assert (low, high) == pytest.approx((16 - np.sqrt(2), 21 + np.sqrt(2)))
    _, single = paths.paths([("", table(seeds=(0,)))]).axes
    assert not single.collections


def test_tickets_are_hairlines_named_by_density_or_level():
    loss, error = paths.paths([("", table())], densities=[1, 0.8, 0.64]).axes
    assert ticks(error) == ["1", "0.8", "0.64"]
    assert error.get_xlabel() == "density"
    assert loss.get_xlabel() == ""
    for axes in (loss, error):
        assert [line.get_visible() for line in axes.xaxis.get_gridlines()] == [True] * 3
    _, error = paths.paths([("", table())]).axes
    assert (ticks(error), error.get_xlabel()) == (["0", "1", "2"], "level")


def test_panels_stand_side_by_side_and_share_a_legend():
    figure = paths.paths([("recalibrated", table()), ("mixed", table(settings=["no rewinding"]))])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["recalibrated", "mixed", "", ""]
    assert [axes.get_ylabel() != "" for axes in figure.axes] == [True, False] * 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["with rewinding", "without rewinding"]


def test_a_barrier_stands_between_its_tickets_in_points():
    recalibrated, mixed = paths.barriers(heights()).axes
    assert [axes.get_title() for axes in (recalibrated, mixed)] == ["recalibrated statistics", "mixed statistics"]
    for axes, height in ((recalibrated, 11), (mixed, 51)):
        line = curves(axes)["without rewinding"]
        np.testing.assert_allclose(line.get_xdata(), [0.5, 1.5])
        np.testing.assert_allclose(line.get_ydata(), [height] * 2)
        assert ticks(axes) == ["0", "1", "2"]
    assert recalibrated.get_ylabel() == "error barrier (points)"


def test_barriers_of_loss_are_in_nats_and_need_not_say_how_they_were_recalibrated():
    one_kind = heights().query("recalibrated").drop(columns="recalibrated")
    (axes,) = paths.barriers(one_kind, metric="loss", densities=(1, 0.8, 0.64)).axes
    np.testing.assert_allclose(curves(axes)["with rewinding"].get_ydata(), [0.11] * 2)
    assert (axes.get_ylabel(), axes.get_title(), ticks(axes)) == ("loss barrier (nats)", "", ["1", "0.8", "0.64"])


@pytest.mark.parametrize(("pairs", "count"), [(1, 1), (9, 2), (9, 4), (18, 1), (18, 4)])
def test_everything_written_can_be_read(pairs, count, crowded):
    densities = 0.8 ** np.arange(pairs + 1)
    assert crowded(paths.paths([("VGG-16, CIFAR-100", table(pairs))] * count, densities=densities)) == []
    assert crowded(paths.barriers(heights(pairs), densities=densities)) == []


def test_what_cannot_be_drawn_is_refused():
    for panels in ([], [("", table(pairs=0))]):
        with pytest.raises(ValueError, match="path"):
            paths.paths(panels)
    with pytest.raises(ValueError, match="barrier"):
        paths.barriers(heights(0))
    with pytest.raises(ValueError, match=r"setting 'rewind'.*'rewinding'"):
        paths.paths([("", table().replace({"setting": {"rewinding": "rewind"}}))])
    with pytest.raises(ValueError, match=r"metric 'eror'.*'error'"):
        paths.barriers(heights(), metric="eror")
    with pytest.raises(ValueError, match="seed, setting, pair and coefficient"):
        paths.paths([("", pd.concat([table(), table()]))])
    with pytest.raises(ValueError, match=r"2 densities .* 3 tickets"):
        paths.paths([("", table())], densities=[1, 0.8])
