from datetime import UTC, datetime, timedelta

import pytest

from lpjax import store
from lpjax.report import processes
from lpjax.store import paths

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def say(tmp_path):
    def say(process=0, ago=0.0, **said):
        when = (NOW - timedelta(seconds=ago)).isoformat(timespec="seconds")
        record = {"process": process, "processes": 1, "host": "vm", "pid": 7, "state": "working", "when": when}
        store.write_json(paths.status(tmp_path, process), record | said)
        return processes.statuses(tmp_path, NOW)

    return say


def test_where_nothing_was_said_there_are_no_statuses(tmp_path):
    assert processes.statuses(tmp_path, NOW) == []


def test_a_status_tells_what_was_said_and_how_long_ago(say):
    (status,) = say(ago=4, stage="seed 0 tickets", done=3, total=12, unit="epoch", note="level 1", rate=0.5)
    assert status == (0, "vm", 7, "working", "seed 0 tickets", 3, 12, "epoch", "level 1", 0.5, 4.0, False)
    assert status.left == 18.0


def test_a_process_that_has_only_begun_has_a_status(say):
    (status,) = say(stage="starting")
    assert (status.done, status.total, status.left, status.stale) == (0, 0, None, False)


@pytest.mark.parametrize(
    ("rate", "ago", "stale"),
    [(1.0, 59, False), (1.0, 61, True), (0.01, 299, False), (0.01, 301, True), (0.0, 599, False), (0.0, 601, True)],
)
def test_who_is_silent_for_three_units_and_a_minute_is_not_believed_to_work(say, rate, ago, stale):
    (status,) = say(ago=ago, rate=rate, done=3, total=9)
    assert status.stale == stale
    assert (status.left is None) == (stale or not rate)


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_who_said_goodbye_is_never_stale(say, state):
    (status,) = say(ago=1e6, state=state, rate=1.0, total=9)
    assert not status.stale
    assert status.left is None


def test_clocks_that_disagree_make_no_negative_silence(say):
    assert say(ago=-30)[0].silence == 0


def test_processes_of_an_earlier_larger_run_are_left_out(say):
    for process in range(4):
        say(process, ago=100, processes=4)
    say(0, ago=5, processes=2)
    assert [one.process for one in say(1, ago=4, processes=2)] == [0, 1]


def test_processes_are_in_their_order_each_with_its_own_silence(say):
    say(1, ago=50, processes=2)
    assert [(one.process, one.silence) for one in say(0, ago=2, processes=2)] == [(0, 2.0), (1, 50.0)]


def test_a_status_of_something_else_is_left_out(tmp_path, say):
    store.write_json(paths.status(tmp_path, 5), {"hello": 1})
    assert len(say()) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.25, "0.25 s"),
        (9.6, "9.6 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
    ],
)
def test_lengths_of_time_are_worded(seconds, words):
    assert processes.lasted(seconds) == words
