import errno
import os
import resource
import struct
import sys
import threading

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from lpjax import store
from lpjax.errors import UserError


def events(directory):
    """Reads event files as TensorBoard frames them, checksums and all."""
    found = []
    for path in sorted(directory.glob("events.out.tfevents.*")):
        stored = path.read_bytes()
        while stored:
            header, (length,) = stored[:8], struct.unpack("<Q", stored[:8])
            payload = stored[12 : 12 + length]
            assert stored[8:12] == struct.pack("<I", masked_crc32c(header))
            assert stored[12 + length : 16 + length] == struct.pack("<I", masked_crc32c(payload))
            found.append(Event.FromString(payload))
            stored = stored[16 + length :]
    return found


def shown(directory):
    """The points that TensorBoard shows of every tag: a stretch's start takes back the steps from its own on."""
    points, version = [], ""
    for event in events(directory):
        version = event.file_version or version
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            assert version == "brain.Event:2"
            points = [point for point in points if point[1] < event.step]
        points += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return points


def append(directory, step, events=True, **metrics):
    store.append_metrics(directory / "metrics.jsonl", {"step": step, **metrics}, events)


def test_every_metric_is_a_point_at_its_step(tmp_path):
    append(tmp_path, 100, epoch=1.0, loss=0.5)
    append(tmp_path, 200, epoch=2.0, loss=0.25)
    assert shown(tmp_path) == [("epoch", 100, 1.0), ("loss", 100, 0.5), ("epoch", 200, 2.0), ("loss", 200, 0.25)]
    assert store.read_jsonl(tmp_path / "metrics.jsonl")[1] == {"step": 200, "epoch": 2.0, "loss": 0.25}


def test_the_file_begins_as_tensorboard_expects_and_tells_when(tmp_path):
    append(tmp_path, 1, loss=0.5)
    first, *_, last = events(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert 0 < first.wall_time <= last.wall_time


def test_without_being_asked_there_is_no_event_file(tmp_path):
    append(tmp_path, 100, events=False, loss=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("again", [100, 200, 300])
def test_a_level_cut_back_shows_no_point_twice(tmp_path, again):
    steps = range(100, 500, 100)
    for step in steps:
        append(tmp_path, step, loss=1 / step)
    for step in range(again, 600, 100):
        append(tmp_path, step, loss=step / 1000)
    points = shown(tmp_path)
    assert [step for _, step, _ in points] == [100, 200, 300, 400, 500]
    expected = [1 / step if step < again else step / 1000 for step in (*steps, 500)]
    assert [value for *_, value in points] == pytest.approx(expected)


def test_a_line_has_more_numbers_than_tensorboardx_queues_by_default(tmp_path):
    append(tmp_path, 100, **{f"metric_{number}": float(number) for number in range(50)})
    assert [value for *_, value in shown(tmp_path)] == list(range(50))


def test_every_file_is_closed_with_its_line(tmp_path):
    append(tmp_path, 100, loss=0.5)
    append(tmp_path, 200, loss=0.4)
    threads = [thread for thread in threading.enumerate() if type(thread).__name__ == "_EventLoggerThread"]
    assert threads == []
    assert len(list(tmp_path.glob("events.*"))) == 2


def test_words_are_no_points(tmp_path):
    append(tmp_path, 100, loss=0.5, arm="base", chosen=None)
    assert [tag for tag, *_ in shown(tmp_path)] == ["loss"]


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    append(tmp_path, 100, loss=0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr("tensorboardX.record_writer.open_file", refuse)
    with pytest.raises(store.StorageError, match=r"events\.out\.tfevents: No space left on device"):
        append(tmp_path, 100, loss=0.5)
    assert len(store.read_jsonl(tmp_path / "metrics.jsonl")) == 1


def test_a_disk_that_is_full_while_a_line_is_written_is_one_clear_line(tmp_path):
    append(tmp_path, 100, events=False, loss=0.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(store.StorageError, match=r"events\.out\.tfevents: File too large"):
            append(tmp_path, 200, **{f"metric_{number}": 0.5 for number in range(20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_the_package_event_files_are_refused_in_one_line(monkeypatch):
    store.ensure_tensorboard()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install 'lpjax\[tensorboard\]'") as caught:
        store.ensure_tensorboard()
    assert "\n" not in str(caught.value)


def record(directory, *epochs):
    path = directory / "metrics.jsonl"
    for epoch in epochs:
        store.append_jsonl(path, {"epoch": epoch})
    return path


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_the_first_lines_are_kept(tmp_path, lines):
    path = record(tmp_path, 1, 2, 3)
    store.truncate_metrics(path, lines)
    assert store.read_jsonl(path) == [{"epoch": epoch} for epoch in range(1, lines + 1)]


def test_no_lines_are_no_file(tmp_path):
    path = record(tmp_path, 1)
    store.truncate_metrics(path, 0)
    store.truncate_metrics(path, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_line_is_not_counted(tmp_path):
    path = record(tmp_path, 1)
    with path.open("a") as file:
        file.write('{"epoch": 2')
    with pytest.raises(store.DamagedProgress, match=r"metrics\.jsonl has 1 of the 2 lines"):
        store.truncate_metrics(path, 2)
    store.truncate_metrics(path, 1)
    assert path.read_text() == '{"epoch": 1}\n'


def test_lines_that_lack_are_damaged_progress_and_nothing_is_cut(tmp_path):
    path = record(tmp_path, 1, 2)
    with pytest.raises(store.DamagedProgress, match="has 2 of the 3 lines"):
        store.truncate_metrics(path, 3)
    with pytest.raises(store.DamagedProgress, match="has 0 of the 3 lines"):
        store.truncate_metrics(tmp_path / "other.jsonl", 3)
    assert len(store.read_jsonl(path)) == 2


def test_the_first_process_alone_cuts(tmp_path, monkeypatch):
    path = record(tmp_path, 1, 2)
    monkeypatch.setattr("jax.process_index", lambda: 1)
    store.truncate_metrics(path, 1)
    assert len(store.read_jsonl(path)) == 2
