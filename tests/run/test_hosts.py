"""Several processes: how they find each other, what is broadcast, and what a mistake among them costs."""

import os
import socket
import subprocess
import sys

import jax
import pytest

from lpjax import run
from lpjax.errors import StorageError, UserError
from lpjax.run import hosts
from lpjax.run.hosts import (
    ReplicatedError,
    ReplicatedStorageError,
    assert_equal_across_processes,
    broadcast_from_process0,
    exclusive_workdir,
    join,
    parse_place,
)
from lpjax.store import paths

TWO = """
import sys
from pathlib import Path
import jax, numpy as np
from jax._src import xla_bridge
from lpjax import run, store
from lpjax.errors import StorageError, UserError
from lpjax.run.hosts import assert_equal_across_processes, broadcast_from_process0, exclusive_workdir

address, index, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
assert not xla_bridge.backends_are_initialized(), "importing lpjax looked for devices"
run.join(f"{address},2,{index}")
assert (jax.process_count(), jax.process_index(), jax.device_count()) == (2, index, 2)

def refused(ask, *arguments):
    try:
        return ask(*arguments)
    except Exception as error:
        return type(error).__name__, str(error).partition("(")[0].strip()

def fail(kind):
    raise kind(f"seen by {jax.process_index()}")

seen = broadcast_from_process0(lambda: {"process": jax.process_index(), "text": "ä" * 300})
print("seen", seen == {"process": 0, "text": "ä" * 300})
for kind in (UserError, StorageError, KeyError):
    print(*refused(broadcast_from_process0, lambda: fail(kind)))
print(*refused(assert_equal_across_processes, {"other": index}, "config") or ("the same", ""), sep="; ")
with exclusive_workdir(directory / "work"):
    print("held", broadcast_from_process0(lambda: (directory / "work" / ".lock").exists()))
    store.save(directory / "tree", numbers={"w": np.arange(5.0)}, step=3)
    print("restored", store.restore(directory / "tree")["numbers"]["w"].tolist())
    store.append_jsonl(directory / "lines.jsonl", {"process": index})
    store.write_json(directory / "environment.json", store.environment())
    store.save_progress(directory / "progress", local={"w": jax.numpy.ones(3)}).result()
    broadcast_from_process0(lambda: None)
    print("progress", store.restore_progress(directory / "progress")["local"]["w"].tolist())
jax.distributed.shutdown()
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def both(*command):
    """Runs a command as two processes of one device each, and returns what each said and its exit code."""
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    started = [
        subprocess.Popen(
            [sys.executable, *(str(part).format(address=address, index=index) for part in command)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    said = [process.communicate(timeout=300) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


@pytest.fixture
def no_launcher(monkeypatch):
    """A laptop: nothing that starts several processes has left its traces."""
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "JAX_COORDINATOR", "TPU_", "MEGASCALE_", "KUBERNETES_")):
            monkeypatch.delenv(name)


@pytest.fixture
def initialized(monkeypatch, no_launcher):
    """What JAX would be asked for."""
    asked = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **given: asked.append(given))
    return asked


@pytest.mark.parametrize(
    "distributed",
    ["", "all", "host:1234", "host,2,0", "host:1234,2", "host:1234,2,2", "host:1234,0,0", "host:p,2,0", "a b:1,2,0"],
)
def test_another_form_is_refused_in_one_line(distributed, tiny_config):
    config = tiny_config()
    config.distributed = distributed
    with pytest.raises(UserError, match="HOST:PORT,COUNT,INDEX") as refusal:
        run.check(config)
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="distributed"):
        join(distributed)


@pytest.mark.parametrize("distributed", ["auto", "none", "10.0.0.1:1234,2,1", "[::1]:99,16,0"])
def test_the_three_forms_are_known(distributed, tiny_config):
    config = tiny_config()
    config.distributed = distributed
    run.check(config)


def test_a_place_names_the_first_process_the_count_and_the_index():
    assert parse_place("10.0.0.1:1234,2,1") == ("10.0.0.1:1234", 2, 1)
    assert parse_place("auto") is parse_place("none") is None


def test_a_given_place_is_taken_as_it_is(initialized, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "8")
    join("10.0.0.1:1234,2,1")
    asked = {"coordinator_address": "10.0.0.1:1234", "num_processes": 2, "process_id": 1}
    beat = {"heartbeat_timeout_seconds": hosts.HEARTBEAT}
    assert initialized == [asked | beat | {"cluster_detection_method": "deactivate"}]


@pytest.mark.parametrize("tasks", ["SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"])
def test_a_single_task_joins_nobody(initialized, monkeypatch, tasks):
    monkeypatch.setenv(tasks, "1")
    join("auto")
    join("none")
    assert initialized == []


@pytest.mark.parametrize(
    ("traces", "ids"),
    [
        ({"SLURM_NTASKS": "4", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, {"local_device_ids": []}),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, {}),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, {"local_device_ids": []}),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "JAX_LOCAL_DEVICE_IDS": "0,1"}, {}),
    ],
)
def test_a_process_that_has_a_host_for_itself_has_all_its_devices(initialized, monkeypatch, traces, ids):
    for name, value in traces.items():
        monkeypatch.setenv(name, value)
    join("auto")
    assert initialized == [ids | {"heartbeat_timeout_seconds": hosts.HEARTBEAT}]


def test_where_nothing_starts_several_processes_one_runs_alone(no_launcher, monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)  # as in a fresh process
    join("auto")
    assert not jax.distributed.is_initialized()


@pytest.mark.usefixtures("no_launcher")
def test_where_nothing_starts_several_processes_a_config_may_have_used_devices():
    assert jax.devices()
    join("auto")
    assert not jax.distributed.is_initialized()


@pytest.mark.parametrize("trace", ["SLURM_JOB_ID", "JAX_COORDINATOR_ADDRESS", "TPU_WORKER_HOSTNAMES"])
def test_where_others_may_wait_a_config_that_has_used_devices_is_refused(no_launcher, monkeypatch, trace):
    assert jax.devices()
    monkeypatch.setenv(trace, "host-0")
    with pytest.raises(UserError, match="config file"):
        join("auto")


def test_an_address_without_the_rest_is_one_line(no_launcher, monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1:1234")
    with pytest.raises(UserError, match="HOST:PORT,COUNT,INDEX") as refusal:
        join("auto")
    assert "\n" not in str(refusal.value)


def test_one_process_looks_itself_and_raises_its_own_errors():
    assert broadcast_from_process0(lambda: (1, 2)) == (1, 2)

    class OwnError(UserError):
        pass

    def refuse():
        raise OwnError("no")

    with pytest.raises(OwnError):
        broadcast_from_process0(refuse)


@pytest.fixture
def two_processes(monkeypatch):
    """Makes this process one of two; process 1 receives what process 0 has sent."""
    sent = []

    def broadcast(message):
        if jax.process_index() == 0:
            sent.append(message)
        return sent[-1]

    def be(process):
        monkeypatch.setattr(jax, "process_index", lambda: process)

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hosts, "_broadcast", broadcast)
    return be


def not_asked():
    pytest.fail("process 1 looks itself")


def test_what_process_0_saw_is_seen_by_all_as_json_brings_it(two_processes):
    two_processes(0)
    assert broadcast_from_process0(lambda: {"levels": (1, 2)}) == {"levels": [1, 2]}
    two_processes(1)
    assert broadcast_from_process0(not_asked) == {"levels": [1, 2]}


@pytest.mark.parametrize(
    ("raised", "everywhere"),
    [
        (UserError("seeds: got (), expected one"), ReplicatedError),
        (StorageError("cannot write runs/x"), ReplicatedStorageError),
    ],
)
def test_what_a_user_can_mend_on_process_0_is_raised_by_all(raised, everywhere, two_processes):
    def refuse():
        raise raised

    for process, look in enumerate((refuse, not_asked)):
        two_processes(process)
        with pytest.raises(everywhere) as caught:
            broadcast_from_process0(look)
        assert str(caught.value) == str(raised)


def test_a_bug_on_process_0_keeps_its_traceback_there_and_is_named_elsewhere(two_processes):
    bug = KeyError("level")

    def fail():
        raise bug

    two_processes(0)
    with pytest.raises(KeyError) as caught:
        broadcast_from_process0(fail)
    assert caught.value is bug
    two_processes(1)
    with pytest.raises(RuntimeError, match="KeyError: 'level'") as elsewhere:
        broadcast_from_process0(not_asked)
    assert not isinstance(elsewhere.value, UserError)


def test_values_that_must_be_equal_are_compared_field_by_field(two_processes):
    config = {"train": {"duration": "3ep", "decay": 0.1}, "seeds": (0, 1)}
    two_processes(0)
    assert_equal_across_processes(config, "config")
    two_processes(1)
    assert_equal_across_processes({"seeds": [0, 1], "train": {"decay": 0.1, "duration": "3ep"}}, "config")
    with pytest.raises(UserError, match=r"process 1 .*train\.duration"):
        assert_equal_across_processes({**config, "train": {"duration": "4ep", "decay": 0.1}}, "config")


def test_a_work_directory_is_held_while_a_run_lives(tmp_path):
    with exclusive_workdir(tmp_path):
        assert paths.lock(tmp_path).exists()
        with pytest.raises(UserError, match="in use by process"), exclusive_workdir(tmp_path):
            pass
    assert not paths.lock(tmp_path).exists()


def test_a_work_directory_that_process_0_cannot_have_is_refused_to_all(tmp_path, two_processes):
    with exclusive_workdir(tmp_path):
        for process in range(2):
            two_processes(process)
            with pytest.raises(ReplicatedError), exclusive_workdir(tmp_path):
                pass


@pytest.mark.slow
def test_two_processes_see_one_disk_and_write_once(tmp_path):
    outcomes = both("-c", TWO.replace("{", "{{").replace("}", "}}"), "{address}", "{index}", tmp_path)
    for process, (code, out, errors) in enumerate(outcomes):
        assert code == 0, errors
        assert [line for line in out.splitlines() if not line.startswith("[Gloo]")] == [
            "seen True",
            "ReplicatedError seen by 0",
            "ReplicatedStorageError seen by 0",
            "KeyError 'seen by 0'" if not process else "RuntimeError process 0 failed: KeyError: 'seen by 0'",
            "UserError; process 1 was given another config than process 0" if process else "the same; ",
            "held True",
            "restored [0.0, 1.0, 2.0, 3.0, 4.0]",
            "progress [1.0, 1.0, 1.0]",
        ]
    assert (tmp_path / "lines.jsonl").read_text() == '{"process": 0}\n'
    assert '"processes": 2' in (tmp_path / "environment.json").read_text()
    assert not paths.lock(tmp_path / "work").exists()


@pytest.mark.slow
def test_a_mistake_that_all_processes_make_costs_one_line(tmp_path):
    options = ("--config=configs/digits_resnet8.py", f"--workdir={tmp_path / 'work'}", "--config.model=resnet81")
    outcomes = both("-m", "lpjax.main", *options, "--config.distributed={address},2,{index}")
    assert [code for code, _, _ in outcomes] == [2, 2]
    said = [[line for line in errors.splitlines() if line.startswith("lpjax:")] for _, _, errors in outcomes]
    assert [len(lines) for lines in said] == [1, 0]
    assert "did you mean" in said[0][0]
    assert "Traceback" not in outcomes[0][2] + outcomes[1][2]
