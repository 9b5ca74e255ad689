"""One run at a time in a work directory, whatever becomes of it."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys

import pytest

from lpjax import store
from lpjax.store import paths

HOLDS = "import sys, time; from lpjax import store\nwith store.lock(__import__('pathlib').Path(sys.argv[1])):\n"
HOLDS += "    print('held', flush=True); time.sleep(60)"


def test_a_work_directory_is_created_held_and_left_as_it_was(tmp_path):
    workdir = tmp_path / "runs" / "demo"
    with store.lock(workdir):
        assert paths.lock(workdir).exists()
    assert list(workdir.iterdir()) == []


def test_a_second_run_is_refused_in_one_line_that_names_the_first(tmp_path):
    with (
        store.lock(tmp_path),
        pytest.raises(
            ValueError, match=rf"{tmp_path}.* process {os.getpid()} on .+ since \d{{4}}-\d\d-\d\d"
        ) as refusal,
        store.lock(tmp_path),
    ):
        pass
    assert "\n" not in str(refusal.value)


def test_it_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), store.lock(tmp_path):
        raise RuntimeError("mine")
    with store.lock(tmp_path):
        assert paths.lock(tmp_path).exists()


def test_a_refused_run_leaves_the_first_one_its_lock(tmp_path):
    with store.lock(tmp_path):
        for _ in range(2):
            with pytest.raises(ValueError, match=f"{tmp_path}.* process {os.getpid()}"), store.lock(tmp_path):
                pass


def test_a_lock_file_that_nobody_holds_stands_in_nobody_s_way(tmp_path):
    paths.lock(tmp_path).write_text('{"pid": 1, "host": "gone", "since": "long ago"}')
    with store.lock(tmp_path), pytest.raises(ValueError, match=f"process {os.getpid()}"), store.lock(tmp_path):
        pass


def test_a_holder_that_has_not_signed_yet_is_somebody(tmp_path):
    with paths.lock(tmp_path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process"), store.lock(tmp_path):
            pass


def test_file_systems_without_locks_refuse_nobody(tmp_path, monkeypatch):
    def unknown(file, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with store.lock(tmp_path), store.lock(tmp_path):
        assert paths.lock(tmp_path).exists()


def test_other_troubles_of_locking_are_one_line(tmp_path, monkeypatch):
    def failing(file, how):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", failing)
    with pytest.raises(ValueError, match=f"{tmp_path}.*Input/output error"), store.lock(tmp_path):
        pass


def test_a_disk_without_room_for_a_name_is_one_line_and_nothing_stays_held(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # files may be made, but take no byte
    try:
        with pytest.raises(ValueError, match=f"{tmp_path}.*File too large") as refusal, store.lock(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
    with store.lock(tmp_path):
        assert paths.lock(tmp_path).exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOENT])
def test_a_place_where_nothing_can_be_made_is_one_line(number, tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(ValueError, match=f"{tmp_path}.*: {os.strerror(number)}") as refusal:
        store.lock(tmp_path).__enter__()
    assert "\n" not in str(refusal.value)


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"{tmp_path}/file"):
        store.lock(tmp_path / "file").__enter__()


@pytest.mark.slow
def test_a_killed_process_frees_it_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"process {holder.pid} "), store.lock(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert paths.lock(tmp_path).exists()
    with store.lock(tmp_path):
        pass
    assert not paths.lock(tmp_path).exists()
