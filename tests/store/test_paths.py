from pathlib import Path

import pytest

from lpjax.store import paths

WORKDIR = Path("runs/demo")


def test_every_file_lies_where_the_design_says():
    level, pool = paths.level(WORKDIR, 0, 3), paths.pool(WORKDIR, 1, "interpolation", 12)
    files = [
        paths.config(WORKDIR),
        paths.environment(WORKDIR),
        paths.command(WORKDIR),
        paths.lock(WORKDIR),
        paths.log(WORKDIR, 12),
        paths.results(WORKDIR),
        paths.corrupted_results(WORKDIR),
        paths.report(WORKDIR),
        paths.figures(WORKDIR),
        paths.rewind(WORKDIR, 0),
        paths.analysis(WORKDIR, 0, "linear_paths"),
        paths.ticket(level),
        paths.successor(level),
        paths.progress(level),
        paths.metrics(level),
        paths.summary(level),
        paths.evaluation(level),
        paths.ticket(pool),
        paths.trace(pool),
        paths.summary(pool),
        paths.corruptions(pool),
    ]
    assert [file.relative_to(WORKDIR).as_posix() for file in files] == [
        "config.json",
        "environment.json",
        "command.txt",
        ".lock",
        "log/process_012.txt",
        "results.csv",
        "corruptions.csv",
        "report/report.html",
        "report/figures",
        "seed_0/rewind",
        "seed_0/analysis/linear_paths.json",
        "seed_0/level_03/ticket",
        "seed_0/level_03/successor",
        "seed_0/level_03/progress",
        "seed_0/level_03/metrics.jsonl",
        "seed_0/level_03/summary.json",
        "seed_0/level_03/evaluation.json",
        "seed_1/pools/interpolation/level_12/ticket",
        "seed_1/pools/interpolation/level_12/trace.json",
        "seed_1/pools/interpolation/level_12/summary.json",
        "seed_1/pools/interpolation/level_12/corruptions.jsonl",
    ]


def test_levels_sort_by_name_as_by_number():
    names = [paths.level(WORKDIR, 0, level).name for level in range(20)]
    assert names == sorted(names)


@pytest.mark.parametrize("pool", ["", "interpolation"])
def test_a_directory_tells_its_seed_level_and_pool(pool):
    directory = paths.pool(WORKDIR, 1, pool, 12) if pool else paths.level(WORKDIR, 1, 12)
    assert paths.parse(directory) == (WORKDIR.absolute(), 1, 12, pool)


@pytest.mark.parametrize("directory", ["level_03", "runs/level_03", "runs/seed_0/rewind", "seed_0/level_x"])
def test_a_directory_of_anything_else_tells_nothing(directory, tmp_path):
    assert paths.parse(tmp_path / directory) is None
