import numpy as np
import pandas as pd
import pytest

from lpjax.report import panels, style

pytestmark = pytest.mark.slow  # draws

VARIANTS = (
    "candidates_3",
    "candidates_8",
    "candidates_18",
    "coefficients_3",
    "coefficients_7",
    "prune_after",
    "interpolation_of_3",
    "ensemble_logits",
    "ensemble_probabilities",
)
GAIN = {"ticket": 0.0, "interpolation": 0.02, "swa": -0.03}
FIGURES = {
    "3a": ("ticket", "recalibrated", "interpolation", "average"),
    "3b": ("ticket", "interpolation", "swa", "ema_decay", "ema_newest", "best_single", "uniform"),
    "4": ("ticket", "candidates_3", "candidates_8", "candidates_18"),
    "5": ("ticket", "average", "coefficients_3", "coefficients_7", "interpolation"),
    "6": ("ticket", "interpolation", "prune_after"),
    "7": ("ticket", "interpolation_of_3", "ensemble_logits", "ensemble_probabilities"),
}


def results(methods=("ticket", "interpolation"), levels=3, seeds=(0, 1), ticket=0.7):
    rows = [
        (seed, level, 0.8**level, method, "test", metric, value)
        for seed in seeds
        for method in methods
        for level in range(levels)
        for metric, value in (
            ("accuracy", ticket - 0.01 * level + 0.02 * seed + GAIN.get(method, 0.01)),
            ("nll", 1.25),
            ("ece", 0.125),
        )
    ]
    return pd.DataFrame(rows, columns=["seed", "level", "density", "method", "split", "metric", "value"])


def curves(axes):
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.lines if line.get_visible()}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_experiment_has_a_panel_with_its_own_scale():
    figure = panels.panels([("one", results()), ("other", results(ticket=0.9))], ["ticket", "interpolation"])
    one, other = figure.axes
    assert [axes.get_title() for axes in (one, other)] == ["one", "other"]
    assert curves(one)["ticket"] == pytest.approx([71, 70, 69])
    assert curves(other)["pool (interpolation)"] == pytest.approx([93, 92, 91])
    assert one.get_ylim()[1] < other.get_ylim()[0]
    assert (one.get_ylabel(), other.get_ylabel()) == ("test accuracy (%)", "")
    for axes in (one, other):
        assert axes.get_xscale() == "log"
        assert axes.get_xlim()[0] > 1 > 0.64 > axes.get_xlim()[1]
        assert len(axes.collections) == 2


def test_one_legend_names_all_methods_in_the_order_asked_for():
    experiments = [("", results(["ticket", "swa"])), ("", results(["ticket", "interpolation"]))]
    figure = panels.panels(experiments, ["interpolation", "ticket", "swa"], labels={"swa": "all, averaged"})
    assert legend(figure) == ["pool (interpolation)", "ticket", "all, averaged"]
    assert set(curves(figure.axes[0])) == {"ticket", "SWA"}
    assert set(curves(figure.axes[1])) == {"ticket", "pool (interpolation)"}


def test_the_dense_ticket_is_a_line_where_asked_for():
    figure = panels.panels([("", results())], ["interpolation"], dense=True)
    assert curves(figure.axes[0])["dense"] == pytest.approx([71, 71])
    assert legend(figure) == ["dense", "pool (interpolation)"]
    assert "dense" not in curves(panels.panels([("", results())], ["ticket"]).axes[0])


@pytest.mark.parametrize(
    ("metric", "label", "value"), [("nll", "test loss (nats)", 1.25), ("ece", "test calibration error (%)", 12.5)]
)
def test_other_metrics_have_their_own_units(metric, label, value):
    (axes,) = panels.panels([("", results())], ["ticket"], metric=metric).axes
    assert axes.get_ylabel() == label
    assert curves(axes)["ticket"] == pytest.approx([value] * 3)


@pytest.mark.parametrize("methods", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize(("count", "levels"), [(1, 19), (2, 10), (4, 19)])
def test_everything_written_can_be_read(methods, count, levels, crowded):
    figure = panels.panels([("ResNet-18, CIFAR-100", results(methods, levels))] * count, methods, dense=True)
    assert crowded(figure) == []
    assert figure.get_figwidth() == pytest.approx(6.75 if count > 1 else 6.75 / 2)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="experiment"):
        panels.panels([], ["ticket"])
    with pytest.raises(ValueError, match=r"metric 'acuracy'.*'accuracy'"):
        panels.panels([("", results())], ["ticket"], metric="acuracy")
    with pytest.raises(ValueError, match="method on validation accuracy 'ticket'"):
        panels.panels([("", results())], ["ticket"], split="validation")
    with pytest.raises(ValueError, match=r"method on test accuracy 'tickets'.*'ticket'"):
        panels.panels([("", results())], ["tickets"])


def test_every_variant_of_a_figure_is_told_apart_twice():
    assert all(style.look(method).color != "#444444" for method in VARIANTS)
    for methods in FIGURES.values():
        looks = [style.look(method) for method in methods]
        assert len({look.color for look in looks}) == len({look.marker for look in looks}) == len(looks)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("candidates_1", "pool of 1 candidate"),
        ("candidates_4", "pool of 4 candidates"),
        ("coefficients_7", "pool (7 coefficients)"),
        ("interpolation_of_3", "pool of 3"),
        ("candidates_many", "candidates many"),
    ],
)
def test_variants_are_named_by_their_number(method, name):
    assert style.look(method).name == name


def test_variants_are_sorted_by_their_number():
    assert style.in_order(["candidates_18", "candidates_3", "candidates_8"]) == [
        "candidates_3",
        "candidates_8",
        "candidates_18",
    ]
