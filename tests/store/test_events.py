import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from lpjax import store


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
    first, second = events(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert 0 < first.wall_time <= second.wall_time


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
    assert sum(event.HasField("session_log") for event in events(tmp_path)) == 1


def test_what_grows_on_takes_nothing_back(tmp_path):
    append(tmp_path, 100, loss=0.5)
    append(tmp_path, 200, loss=0.4)
    assert not any(event.HasField("session_log") for event in events(tmp_path))
    assert len(list(tmp_path.glob("events.*"))) == 1


@pytest.mark.parametrize("left", [1, 9, 13, 20])
def test_a_record_that_an_interruption_cut_is_left_out(tmp_path, left):
    append(tmp_path, 100, loss=0.5)
    (path,) = tmp_path.glob("events.*")
    whole = len(path.read_bytes())
    append(tmp_path, 200, loss=0.4)
    path.write_bytes(path.read_bytes()[: whole + left])
    append(tmp_path, 200, loss=0.4)
    assert [step for _, step, _ in shown(tmp_path)] == [100, 200]


def test_words_are_no_points(tmp_path):
    append(tmp_path, 100, loss=0.5, arm="base", chosen=None)
    assert [tag for tag, *_ in shown(tmp_path)] == ["loss"]


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    append(tmp_path, 100, loss=0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_one_clear_line(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "events.out.tfevents.0000000001.host").mkdir()
    with pytest.raises(store.StorageError, match=r"events\.out\.tfevents: Is a directory"):
        append(tmp_path, 100, loss=0.5)


def test_without_the_package_event_files_are_refused_in_one_line(monkeypatch):
    store.ensure_tensorboard()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match=r"pip install 'lpjax\[tensorboard\]'") as caught:
        store.ensure_tensorboard()
    assert "\n" not in str(caught.value)
