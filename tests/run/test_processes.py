"""Several processes: how they find each other, what they are told, and what a mistake among them costs."""

import os
import socket
import subprocess
import sys

import jax
import pytest

from lpjax import run
from lpjax.run import processes
from lpjax.run.processes import alone, join, place, told
from lpjax.store import paths

TWO = """
import sys
from pathlib import Path
import jax, numpy as np
from jax._src import xla_bridge
from lpjax import run, store
from lpjax.run.processes import alone, told

address, index, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
assert not xla_bridge.backends_are_initialized(), "importing lpjax looked for devices"
run.join(f"{address},2,{index}")
assert (jax.process_count(), jax.process_index(), jax.device_count()) == (2, index, 2)

def refused(look):
    try:
        return told(look)
    except ValueError as error:
        return str(error)

def refuse():
    raise ValueError(f"seen by {jax.process_index()}")

print("told", told(lambda: {"process": jax.process_index(), "text": "ä" * 300}) == {"process": 0, "text": "ä" * 300})
print("refused", refused(refuse))
with alone(directory / "work"):
    print("held", told(lambda: (directory / "work" / ".lock").exists()))
    store.save(directory / "tree", numbers={"w": np.arange(5.0)}, step=3)
    print("restored", store.restore(directory / "tree")["numbers"]["w"].tolist())
    store.append_jsonl(directory / "lines.jsonl", {"process": index})
    store.write_json(directory / "environment.json", store.environment())
    store.save_progress(directory / "progress", local={"w": jax.numpy.ones(3)}).result()
    told(lambda: None)
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
    with pytest.raises(ValueError, match="HOST:PORT,COUNT,INDEX") as refusal:
        run.check(config)
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="distributed"):
        join(distributed)


@pytest.mark.parametrize("distributed", ["auto", "none", "10.0.0.1:1234,2,1", "[::1]:99,16,0"])
def test_the_three_forms_are_known(distributed, tiny_config):
    config = tiny_config()
    config.distributed = distributed
    run.check(config)


def test_a_place_names_the_first_process_the_count_and_the_index():
    assert place("10.0.0.1:1234,2,1") == ("10.0.0.1:1234", 2, 1)
    assert place("auto") is place("none") is None


def test_a_given_place_is_taken_as_it_is(initialized, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "8")
    join("10.0.0.1:1234,2,1")
    asked = {"coordinator_address": "10.0.0.1:1234", "num_processes": 2, "process_id": 1}
    beat = {"heartbeat_timeout_seconds": processes.HEARTBEAT}
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
    assert initialized == [ids | {"heartbeat_timeout_seconds": processes.HEARTBEAT}]


def test_where_nothing_starts_several_processes_one_runs_alone(no_launcher, monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)  # as in a fresh process
    join("auto")
    assert not jax.distributed.is_initialized()


def test_an_address_without_the_rest_is_one_line(no_launcher, monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1:1234")
    with pytest.raises(ValueError, match="HOST:PORT,COUNT,INDEX") as refusal:
        join("auto")
    assert "\n" not in str(refusal.value)


def test_one_process_looks_itself_and_hears_its_own_errors():
    assert told(lambda: (1, 2)) == (1, 2)

    class OwnError(ValueError):
        pass

    def refuse():
        raise OwnError("no")

    with pytest.raises(OwnError):
        told(refuse)


def test_a_work_directory_is_held_while_a_run_lives(tmp_path):
    with alone(tmp_path):
        assert paths.lock(tmp_path).exists()
        with pytest.raises(ValueError, match="in use by process"), alone(tmp_path):
            pass
    assert not paths.lock(tmp_path).exists()


@pytest.mark.slow
def test_two_processes_see_one_disk_and_write_once(tmp_path):
    outcomes = both("-c", TWO.replace("{", "{{").replace("}", "}}"), "{address}", "{index}", tmp_path)
    for code, out, errors in outcomes:
        assert code == 0, errors
        assert [line for line in out.splitlines() if not line.startswith("[Gloo]")] == [
            "told True",
            "refused seen by 0",
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
