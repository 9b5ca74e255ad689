"""The page tells what the files say, and nothing that they do not."""

import re

import numpy as np
import pytest
from PIL import Image

from lpjax import report, store
from lpjax.report import tables
from lpjax.store import paths

LEVELS, TOTAL = 3, 1000
BASE = {"ticket": 0.70, "recalibrated": 0.71, "interpolation": 0.74, "swa": 0.72}
COMMAND = "python -m lpjax.main --config=<script>alert(1)</script>"


def value(method, seed, level, split):
    return BASE[method] + 0.01 * level + 0.02 * seed * (method == "interpolation") + 0.05 * (split == "validation")


def results(seeds, methods):
    return [
        store.Result(seed, level, kept, TOTAL, kept / TOTAL, method, split, metric, number)
        for seed in seeds
        for level in range(LEVELS)
        for method in methods
        for split in ("validation", "test")
        for kept in (round(TOTAL * 0.8**level),)
        for metric, number in (("accuracy", value(method, seed, level, split)), ("nll", 1.5), ("ece", 0.125))
    ]


def fill(workdir, seeds=(0, 1), methods=tuple(BASE)):
    store.write_json(paths.config(workdir), {"dataset": "digits", "model": "resnet8", "seeds": list(seeds)})
    store.write_json(paths.environment(workdir), {"jax": "0.0"})
    store.write_results(paths.results(workdir), results(seeds, methods))
    for level in range(LEVELS):
        epochs = [{"epoch": e, "validation_accuracy": 0.5 + 0.1 * e} for e in range(1, 4)]
        store.write_jsonl(paths.metrics(paths.level(workdir, 0, level)), epochs)
        trials = [
            {"newcomer": n, "coefficient": 0.25, "value": 0.8, "accepted": n % 2 == 0}
            for n in range(LEVELS)
            if n != level
        ]
        trace = {"method": "interpolation", "anchor": level, "start": 0.7, "trials": trials}
        store.write_json(paths.trace(paths.pool(workdir, 0, "interpolation", level)), trace)
    return workdir


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report.write(fill(tmp_path_factory.mktemp("report")), COMMAND)


def test_headlines_are_means_over_levels_then_seeds(tmp_path):
    rows = {row.method: row for row in tables.headlines(tables.read(fill(tmp_path)))}
    pool = rows["interpolation"]
    assert pool.accuracy == pytest.approx(0.74 + 0.01 + 0.01)
    assert pool.gain == pytest.approx(100 * (0.04 + 0.01))
    assert pool.spread == pytest.approx(np.std([4, 6], ddof=1))
    assert pool.control_gain == pytest.approx(100 * (0.03 + 0.01))
    assert pool.gap == pytest.approx(5)
    assert (pool.seeds, pool.nll, pool.ece) == (2, 1.5, 0.125)
    assert rows["ticket"].gain == 0


def test_the_page_shows_the_numbers_and_the_command(page):
    text = page.read_text()
    assert "+5.00" in text
    assert "±1.41" in text
    assert "0.7600" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>" not in text


def test_the_page_needs_nothing_but_itself(page):
    assert not re.search(r"https?://|src=\"(?!data:)|<link|@import", page.read_text())


def test_every_figure_is_drawn_and_not_blank(page):
    pictures = {path.stem: path for path in (page.parent / "figures").glob("*.png")}
    assert set(pictures) == {"accuracy", "gains", "baselines", "coefficients", "training"}
    for path in pictures.values():
        assert np.asarray(Image.open(path).convert("L")).std() > 5
        assert path.with_suffix(".pdf").exists()


def test_the_same_files_make_the_same_page(page, tmp_path):
    assert report.write(fill(tmp_path), COMMAND).read_bytes() == page.read_bytes()


def test_one_seed_is_said_to_have_no_spread(tmp_path):
    text = report.write(fill(tmp_path, seeds=(3,)), "c").read_text()
    assert "One seed: no spread" in text
    assert ">nan<" not in text.lower()


def test_a_run_without_pools_or_control_is_shown_as_far_as_it_is(tmp_path):
    text = report.write(fill(tmp_path, methods=("ticket",)), "c").read_text()
    assert "interpolation</td>" not in text
    assert "0.7100" in text


def test_an_empty_work_directory_gets_a_page_too(tmp_path):
    assert "Nothing is measured yet" in report.write(tmp_path / "new", "c").read_text()
