import numpy as np
import pytest
from PIL import Image

from lpjax import store
from lpjax.report import figures, reading
from lpjax.report.pooled import accuracy, coefficients, gains, training
from lpjax.store import paths

pytestmark = pytest.mark.slow  # draws

ALL = ("accuracy", "gains", "baselines", "coefficients", "training")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build):
    return build(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def results(workdir):
    results = reading.results(workdir)
    return results[(results["split"] == "test") & (results["metric"] == "accuracy")]


@pytest.fixture(scope="module")
def drawn(workdir):
    figures.draw(workdir, reading.results(workdir), workdir / "drawn")
    return {path.stem: path for path in (workdir / "drawn").glob("*.png")}


def curves(axes):
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.lines if line.get_visible()}


def texts(figure):
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}


@pytest.mark.parametrize("name", ALL)
def test_every_figure_is_a_picture_with_ink_and_a_pdf(drawn, name):
    pixels = np.asarray(Image.open(drawn[name]).convert("L"))
    assert min(pixels.shape) > 400
    assert 0.01 < (pixels < 200).mean() < 0.6
    assert drawn[name].with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_the_same_run_gives_the_same_bytes(workdir, drawn, tmp_path):
    again = figures.draw(workdir, reading.results(workdir), tmp_path)
    assert set(again) == set(drawn) == set(ALL)
    for path in drawn.values():
        for kind in (".png", ".pdf"):
            assert (tmp_path / path.name).with_suffix(kind).read_bytes() == path.with_suffix(kind).read_bytes()


def test_accuracy_runs_from_dense_to_sparse_on_a_log_axis(results):
    (axes,) = accuracy(results, ["ticket", "interpolation"]).axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > 1 > 0.64 > axes.get_xlim()[1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "0.8", "0.64"]
    drawn = curves(axes)
    assert drawn["ticket"] == pytest.approx([71, 61, 51])
    assert drawn["pool (interpolation)"] == pytest.approx([74, 63, 55])
    assert drawn["dense"] == pytest.approx([71, 71])


def test_a_band_is_drawn_for_several_seeds_and_none_for_one(results):
    (several,) = accuracy(results, ["ticket"]).axes
    (band,) = several.collections
    low, high = np.sort(band.get_paths()[0].vertices[:, 1])[[0, -1]]
    assert (low, high) == pytest.approx((51 - np.sqrt(2), 71 + np.sqrt(2)))
    (single,) = accuracy(results[results["seed"] == 0], ["ticket"]).axes
    assert not single.collections


def test_gains_are_differences_in_points_around_a_zero_line(results):
    over_ticket, over_control = gains(results, ["interpolation"]).axes
    assert curves(over_ticket)["pool (interpolation)"] == pytest.approx([3, 2, 4])
    assert curves(over_ticket)["recalibrated ticket"] == pytest.approx([0.5] * 3)
    assert curves(over_control)["pool (interpolation)"] == pytest.approx([2.5, 1.5, 3.5])
    for axes in (over_ticket, over_control):
        assert any(np.array_equal(line.get_ydata(), [0, 0]) for line in axes.lines)
        low, high = axes.get_ylim()
        assert low < 0 < high


def test_without_the_control_gains_have_one_panel(results):
    (axes,) = gains(results[results["method"] != "recalibrated"], ["interpolation"]).axes
    assert axes.get_title() == "gain over the ticket"


def test_the_heat_map_tells_accepted_rejected_and_untried_apart(workdir):
    trials = reading.trials(workdir, "interpolation")
    figure = coefficients(trials[~((trials["anchor"] == 2) & (trials["candidate"] == 0))])
    rejected, accepted = (image.get_array() for image in figure.axes[0].images)
    assert texts(figure) == {
        (0, 0): "•", (0, 1): ".25", (0, 2): "×",
        (1, 0): "×", (1, 1): "•", (1, 2): ".25",
        (2, 1): "×", (2, 2): "•",
    }  # fmt: skip
    assert (~accepted.mask).astype(int).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert (~rejected.mask).astype(int).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_a_coefficient_is_the_mean_over_the_seeds_that_accepted(workdir):
    trials = reading.trials(workdir, "interpolation").query("anchor == 0")
    trials.loc[trials["seed"] == 1, "accepted"] = trials["candidate"] == 2
    trials.loc[(trials["seed"] == 0) & (trials["candidate"] == 1), "coefficient"] = 0.5
    assert texts(coefficients(trials)) == {(0, 0): "•", (0, 1): ".5", (0, 2): ".25"}


def test_a_heat_map_in_which_nothing_was_accepted_is_drawn(workdir):
    trials = reading.trials(workdir, "interpolation").assign(accepted=False)
    assert sorted(texts(coefficients(trials)).values()) == ["×"] * 6 + ["•"] * 3


def test_training_curves_mark_the_epoch_of_the_ticket(workdir):
    epochs = reading.epochs(workdir).query("seed == 0")
    axes = training(epochs).axes[0]
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[30, 60, 50], [60]] * 3
    assert len({line.get_color() for line in axes.lines[::2]}) == 3


def test_a_run_without_the_papers_pools_shows_those_it_has(workdir, tmp_path):
    results = reading.results(workdir).query("method in ('ticket', 'swa')")
    assert list(figures.draw(tmp_path, results, tmp_path)) == ["accuracy", "gains", "baselines"]


def test_nothing_measured_and_nothing_trained_draws_nothing(tmp_path):
    assert figures.draw(tmp_path, reading.results(tmp_path), tmp_path / "figures") == {}


def test_a_level_of_one_epoch_is_seen(tmp_path):
    for level, count in ((0, 2), (1, 1)):
        for epoch in range(1, count + 1):
            line = {"epoch": float(epoch), "validation_accuracy": 0.5}
            store.append_jsonl(paths.metrics(paths.level(tmp_path, 0, level)), line)
    axes, _ = training(reading.epochs(tmp_path)).axes
    assert [line.get_marker() for line in axes.lines if len(line.get_xdata())] == ["", "."]
