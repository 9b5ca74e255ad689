import matplotlib
import numpy as np
import pytest
from PIL import Image

from lpjax.report import arms, figures, reading, sparse, style, tables

pytestmark = pytest.mark.slow  # draws


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build_sparse):
    return build_sparse(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def accuracies(workdir):
    return tables.wide(arms.named(reading.results(workdir)), "test", "accuracy")


@pytest.fixture(scope="module")
def epochs(workdir):
    return arms.epochs(workdir).query("seed == 0")


@pytest.fixture(scope="module")
def plan(workdir):
    return arms.plan(workdir)


@pytest.fixture(scope="module")
def drawn(workdir):
    figures.draw(workdir, reading.results(workdir), workdir / "drawn")
    return {path.stem: path for path in (workdir / "drawn").glob("*.png")}


def curves(axes):
    return {
        line.get_label(): np.array([line.get_xdata(), line.get_ydata()], float).T.tolist()
        for line in axes.lines
        if line.get_visible()
    }


@pytest.mark.parametrize("name", ["superposed", "training", "masks"])
def test_every_figure_of_a_sparse_run_is_a_picture_with_ink_and_a_pdf(drawn, name):
    pixels = np.asarray(Image.open(drawn[name]).convert("L"))
    assert min(pixels.shape) > 400
    assert 0.01 < (pixels < 200).mean() < 0.6
    assert drawn[name].with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_curves_are_means_over_seeds_against_the_number_of_cheap_tickets(accuracies):
    (axes,) = sparse.superposed(accuracies).axes
    drawn = curves(axes)
    assert drawn["base network"] == [[0, pytest.approx(71)], [3.3, pytest.approx(71)]]
    x, y = np.transpose(drawn["Sup-ticket (CIA)"])
    assert np.round(x).tolist() == [1, 2, 3]
    assert y == pytest.approx([72, 74, 75])
    assert np.transpose(drawn["cheap ticket"])[1] == pytest.approx([72, 217 / 3, 215 / 3])
    assert axes.xaxis.get_major_formatter()(0) == "base"
    assert axes.xaxis.get_major_formatter()(2) == "2"


def test_every_seed_has_its_dot_and_methods_do_not_cover_each_other(accuracies):
    (axes,) = sparse.superposed(accuracies).axes
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in dots) == 3 + 4 * 9
    places = [set(line.get_xdata()) for line in dots]
    assert sum(map(len, places)) == len(set.union(*places))
    assert sorted(dots[0].get_ydata()) == pytest.approx([70, 71, 72])


def test_one_seed_has_no_band(accuracies):
    (axes,) = sparse.superposed(accuracies.loc[[0]]).axes
    assert not axes.collections
    assert len(sparse.superposed(accuracies).axes[0].collections) == 5


def test_without_a_base_network_tickets_begin_at_one(accuracies):
    (axes,) = sparse.superposed(accuracies.drop(columns="base").drop(0, level="level")).axes
    assert "base network" not in curves(axes)
    assert 0 < axes.get_xlim()[0] < 1


def test_training_shows_both_arms_and_marks_the_cheap_tickets(epochs, plan):
    accuracy, _, rate, rate_in_cycles = sparse.training(epochs, plan).axes
    assert accuracy.get_ylabel() == "validation accuracy (%)"
    assert (rate.get_yscale(), rate_in_cycles.get_yscale()) == ("log", "linear")
    drawn = curves(rate)
    assert drawn["base network"][10] == [11, pytest.approx(0.01)]
    assert drawn["Sup-tickets"][10] == [11, pytest.approx(0.001)]
    assert [epoch for epoch, _ in drawn["Sup-tickets"]] == list(range(1, 21))
    for axes in (rate, rate_in_cycles):
        assert curves(axes)["cheap ticket"] == [[16, 0.001], [18, 0.001], [20, 0.001]]
    assert curves(rate_in_cycles)["Sup-tickets"][0][0] == 14


def test_before_the_first_cycle_there_is_one_column(epochs, plan):
    figure = sparse.training(epochs[epochs["epoch"] <= 14], plan)
    assert [axes.get_title() for axes in figure.axes] == ["all of training", ""]
    assert "cheap ticket" not in curves(figure.axes[0])


def test_the_learning_rate_is_shown_alone_where_nothing_validates(epochs, plan):
    figure = sparse.training(epochs.assign(validation_accuracy=np.nan), plan)
    assert [axes.get_ylabel() for axes in figure.axes] == ["learning rate\nat ends of epochs", ""]


def test_masks_are_shown_as_far_as_they_were_recorded(epochs, plan):
    density, explored, flops = sparse.masks(epochs, plan).axes
    assert curves(density)["base network"][-1] == [20, 0.05]
    assert curves(explored)["Sup-tickets"][-1] == [20, pytest.approx(0.29)]
    assert curves(flops)["cheap ticket"][0] == [16, pytest.approx(0.116)]
    assert all(axes.get_ylim()[0] == 0 for axes in (density, explored, flops))
    (only,) = sparse.masks(epochs.assign(explored=np.nan, flops=np.nan), plan).axes
    assert only.get_title().startswith("density")


def test_all_that_is_written_fits_the_page(epochs, plan, accuracies, crowded):
    with matplotlib.rc_context(style.SETTINGS):
        for figure in (sparse.superposed(accuracies), sparse.training(epochs, plan), sparse.masks(epochs, plan)):
            assert crowded(figure) == []


def test_a_run_that_recorded_no_masks_has_no_figure_of_them(workdir, monkeypatch):
    nothing = arms.epochs(workdir).assign(density=np.nan, explored=np.nan, flops=np.nan)
    monkeypatch.setattr(arms, "epochs", lambda workdir: nothing)
    assert list(sparse.figures(workdir, reading.results(workdir))) == ["superposed", "training"]
