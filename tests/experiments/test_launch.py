"""Scripts that start runs elsewhere; stand-ins for programs that are not here write down how they were called."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "experiments" / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
DIGITS = "configs/digits_resnet8.py"
STAND_IN = f"""#!{sys.executable} -S
import json, os, sys
from pathlib import Path
name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
noted = {{n: os.environ.get(n) for n in ("CUDA_VISIBLE_DEVICES", "WORKDIR")}}
noted["cores"] = sorted(os.sched_getaffinity(0))
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([name, arguments, noted]) + "\\n")
answers = json.loads(Path(os.environ["ANSWERS"]).read_text())
for part, replies in answers.items():
    if part in " ".join([name, *arguments]) and replies:
        text, code = replies[0] if len(replies) == 1 else replies.pop(0)
        Path(os.environ["ANSWERS"]).write_text(json.dumps(answers))
        sys.stdout.write(text)
        sys.exit(code)
"""


class Machine:
    """A shell where some programs only write down how they were called, and answer what the test says."""

    def __init__(self, folder):
        self.folder, self.calls_file, self.answers = folder, folder / "calls", {}
        self.bin = folder / "bin"
        self.bin.mkdir()

    def stand_in(self, *names):
        for name in names:
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)

    def start(self, script, *arguments, **variables):
        (self.folder / "answers").write_text(json.dumps(self.answers))
        told = {"CALLS": str(self.calls_file), "ANSWERS": str(self.folder / "answers"), **variables}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
        environment = {**kept, "PATH": f"{self.bin}:{os.environ['PATH']}", **told}
        command = [str(LAUNCH / script), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    @property
    def calls(self):
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.stand_in("gcloud", "sbatch", "srun", "squeue", "scontrol", "nvidia-smi", "python")
    return machine


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound_stops_at_the_first_failure_and_explains_itself(script, machine):
    text = script.read_text()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "set -euo pipefail" in text
    assert os.access(script, os.X_OK)
    done = machine.start(script.name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"experiments/launch/{script.name}" in done.stdout
    assert "CONFIG" in done.stdout
    assert not machine.calls_file.exists()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("document", [*SCRIPTS, LAUNCH / "README.md"], ids=lambda path: path.name)
def test_configs_and_scripts_that_are_named_exist(document):
    text = document.read_text()
    assert [name for name in re.findall(r"configs/\w+\.py", text) if not (ROOT / name).is_file()] == []
    assert [name for name in re.findall(r"\b\w+\.sh\b", text) if not (LAUNCH / name).is_file()] == []


def test_every_script_is_explained_in_the_readme():
    text = (LAUNCH / "README.md").read_text()
    assert [script.name for script in SCRIPTS if script.name not in text] == []


# TPU


def test_a_spot_slice_is_queued(machine):
    assert machine.start("tpu.sh", "create", NAME="mine", ZONE="here", TYPE="v4-8").returncode == 0
    [[name, arguments, _]] = machine.calls
    assert name == "gcloud"
    assert arguments[:5] == ["compute", "tpus", "queued-resources", "create", "mine"]
    assert {"--zone=here", "--accelerator-type=v4-8", "--node-id=mine", "--spot"} <= set(arguments)


def test_a_slice_of_ones_own_is_no_spot_slice(machine):
    machine.start("tpu.sh", "create", SPOT="")
    assert "--spot" not in machine.calls[0][1]
    assert "" not in machine.calls[0][1]


def test_the_package_is_installed_on_every_worker(machine):
    assert machine.start("tpu.sh", "setup", NFS="10.0.0.2:/share").returncode == 0
    copy, install, mount = (arguments for _, arguments, _ in machine.calls)
    assert copy[2:4] == ["tpu-vm", "scp"]
    assert all("--worker=all" in arguments for arguments in (copy, install, mount))
    assert "./lpjax[tpu]" in " ".join(install)
    assert "mount -t nfs 10.0.0.2:/share /mnt/lpjax" in " ".join(mount)


def test_every_worker_runs_the_same_command(machine):
    done = machine.start("tpu.sh", "run", "--config.pool.start=(0.9, 0.8)", CONFIG=DIGITS, WORKDIR="/mnt/lpjax/a b")
    assert done.returncode == 0
    [[_, arguments, _]] = machine.calls
    assert {"tpu-vm", "ssh", "--worker=all"} <= set(arguments)
    [command] = [argument.removeprefix("--command=") for argument in arguments if argument.startswith("--command=")]
    spoken = subprocess.run(
        ["bash", "-c", command.replace("cd lpjax && .venv/bin/python", "printf '%s\\n'")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert spoken == [
        "-m",
        "lpjax.main",
        f"--config={DIGITS}",
        "--workdir=/mnt/lpjax/a b",
        "--config.pool.start=(0.9, 0.8)",
    ]


@pytest.mark.slow
def test_a_run_is_started_again_until_it_is_done(machine):
    """Asked for, waited for, set up, cut off, taken away, asked for anew, set up anew, done."""
    states = ["", "PROVISIONING", "ACTIVE", "SUSPENDED", "", "ACTIVE"]
    machine.answers = {
        "describe": [(state, 0 if state else 1) for state in states],
        "lpjax.main": [("", 143), ("", 0)],
    }
    assert machine.start("tpu.sh", "keep", CONFIG=DIGITS, WAIT="0").returncode == 0
    acts = [" ".join(arguments) for _, arguments, _ in machine.calls]
    words = {"resources create": "create", "resources delete": "delete", "[tpu]": "install", "lpjax.main": "run"}
    story = [word for act in acts for part, word in words.items() if part in act]
    assert story == ["create", "install", "run", "delete", "create", "install", "run"]


@pytest.mark.slow
def test_a_lost_connection_is_no_end_but_a_mistake_is(machine):
    machine.answers = {"describe": [("ACTIVE", 0)], "lpjax.main": [("", 255), ("", 2)]}
    assert machine.start("tpu.sh", "keep", WAIT="0").returncode == 2
    acts = [" ".join(arguments) for _, arguments, _ in machine.calls]
    story = ["pkill" in act for act in acts if "lpjax.main" in act or "pkill" in act]
    assert story == [False, True, False]  # run, lose the connection, stop what lives on at its other end, run again


@pytest.mark.slow
def test_a_run_that_failed_because_its_slice_went_is_started_again(machine):
    states = ["ACTIVE", "SUSPENDED", "SUSPENDED", "ACTIVE", "ACTIVE"]
    machine.answers = {"describe": [(state, 0) for state in states], "lpjax.main": [("", 1), ("", 1)]}
    assert machine.start("tpu.sh", "keep", WAIT="0").returncode == 1
    assert sum("lpjax.main" in str(call) for call in machine.calls) == 2


def test_results_are_fetched(machine):
    machine.start("tpu.sh", "fetch", DEST=str(machine.folder / "here"), WORKDIR="/mnt/lpjax/run", NAME="mine")
    arguments = machine.calls[0][1]
    assert {"mine:/mnt/lpjax/run/report", "mine:/mnt/lpjax/run/results.csv", "--worker=0"} <= set(arguments)
    assert (machine.folder / "here").is_dir()


# SLURM


def test_a_job_hears_of_its_end_in_time_and_goes_back_into_the_queue(machine):
    workdir = str(machine.folder / "runs" / "x")
    assert (
        machine.start("slurm.sh", "--config.seeds=0,1", NODES="3", GPUS="4", CPUS="32", WORKDIR=workdir).returncode == 0
    )
    [[name, arguments, noted]] = machine.calls
    assert name == "sbatch"
    assert {"--signal=TERM@120", "--requeue", "--nodes=3", "--gpus-per-node=4", "--ntasks-per-node=1"} <= set(arguments)
    assert "--cpus-per-task=32" in arguments
    assert not any("--array" in argument or "--gpus-per-task" in argument for argument in arguments)
    assert arguments[-2:] == [str(LAUNCH / "slurm.sh"), "--config.seeds=0,1"]
    assert noted["WORKDIR"] == workdir  # sbatch hands exported variables on


def test_one_process_a_gpu_is_a_choice(machine):
    machine.start("slurm.sh", GPUS="4", CPUS="32", PER="gpu", WORKDIR=str(machine.folder / "x"))
    assert {"--ntasks-per-node=4", "--cpus-per-task=8"} <= set(machine.calls[0][1])
    assert machine.start("slurm.sh", PER="rack").returncode == 2


def test_inside_a_job_the_run_starts_on_every_node(machine):
    done = machine.start("slurm.sh", "--config.dtype=float32", SLURM_JOB_ID="7", CONFIG=DIGITS, WORKDIR="w", GPUS="4")
    assert done.returncode == 0
    [[name, arguments, _]] = machine.calls
    assert name == "srun"
    command = ["python", "-m", "lpjax.main", f"--config={DIGITS}", "--workdir=w", "--config.dtype=float32"]
    assert arguments[-6:] == command


@pytest.mark.parametrize(
    ("code", "state", "requeued"),
    [(143, "RUNNING", True), (143, "COMPLETING", False), (0, "RUNNING", False), (2, "RUNNING", False)],
)
def test_only_a_run_that_saved_in_a_job_still_running_is_queued_again(machine, code, state, requeued):
    machine.answers = {"lpjax.main": [("", code)], "squeue": [(state, 0)]}
    assert machine.start("slurm.sh", SLURM_JOB_ID="7").returncode == code
    assert (["scontrol", ["requeue", "7"]] in [call[:2] for call in machine.calls]) is requeued


def test_an_array_has_a_work_directory_a_seed(machine):
    workdir = str(machine.folder / "runs" / "x")
    machine.start("slurm.sh", SEEDS="0-4", WORKDIR=workdir)
    assert "--array=0-4" in machine.calls[0][1]
    machine.answers = {"lpjax.main": [("", 143)], "squeue": [("RUNNING", 0)]}
    task = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    machine.start("slurm.sh", SEEDS="0-4", WORKDIR=workdir, **task)
    _, start, _, again = machine.calls
    assert {f"--workdir={workdir}-seeds/3", "--config.seeds=(3,)"} <= set(start[1])
    assert again[:2] == ["scontrol", ["requeue", "7_3"]]


# One machine


def test_every_seed_has_a_gpu_of_its_own(machine):
    machine.answers = {"nvidia-smi": [("0\n1", 0)]}
    workdir = str(machine.folder / "runs" / "x")
    done = machine.start("seeds.sh", "--config.pool.start=(0.9, 0.8)", SEEDS="0 1 2 5", CONFIG=DIGITS, WORKDIR=workdir)
    assert (done.returncode, done.stderr) == (0, "")
    runs = [(arguments, noted) for name, arguments, noted in machine.calls if name == "python"]
    assert {f"--workdir={workdir}-seeds/{seed}" for seed in (0, 1, 2, 5)} == {arguments[3] for arguments, _ in runs}
    assert {f"--config.seeds=({seed},)" for seed in (0, 1, 2, 5)} == {arguments[4] for arguments, _ in runs}
    assert {arguments[5] for arguments, _ in runs} == {"--config.pool.start=(0.9, 0.8)"}
    assert {noted["CUDA_VISIBLE_DEVICES"] for _, noted in runs} == {"0", "1"}


def test_gpus_can_be_chosen_and_a_seed_that_fails_does_not_stop_the_others(machine):
    machine.answers = {"seeds=(0,)": [("", 1)]}
    workdir = str(machine.folder / "x")
    done = machine.start("seeds.sh", SEEDS="0 1", GPUS="5", WORKDIR=workdir)
    assert done.returncode != 0
    assert f"seed 0 failed; see {workdir}-seeds/0.log" in done.stderr
    assert [noted["CUDA_VISIBLE_DEVICES"] for _, _, noted in machine.calls] == ["5", "5"]


def test_without_gpus_every_seed_has_a_core_of_its_own(machine):
    cores = sorted(os.sched_getaffinity(0))[:2]
    given = " ".join(map(str, cores))
    done = machine.start("seeds.sh", SEEDS="0 1", CORES=given, CONFIG=DIGITS, WORKDIR=str(machine.folder / "x"))
    assert (done.returncode, done.stderr) == (0, "")
    assert not [name for name, _, _ in machine.calls if name == "nvidia-smi"]
    pinned = [noted["cores"] for _, _, noted in machine.calls]
    assert len(pinned) == 2
    assert all(len(of_seed) == 1 and set(of_seed) <= set(cores) for of_seed in pinned)


def test_seeds_are_gathered_only_when_all_are_finished(machine):
    workdir = machine.folder / "x"
    none = machine.start("gather.sh", WORKDIR=str(workdir))
    assert (none.returncode, "no seeds lie in" in none.stderr) == (2, True)
    for seed in (0, 12):
        (machine.folder / "x-seeds" / str(seed) / f"seed_{seed}" / "level_00").mkdir(parents=True)
        for record in ("config.json", "environment.json"):
            (machine.folder / "x-seeds" / str(seed) / record).touch()
    (machine.folder / "x-seeds" / "0" / "results.csv").touch()
    half = machine.start("gather.sh", WORKDIR=str(workdir))
    assert (half.returncode, "seed_12 is not finished" in half.stderr) == (2, True)
    assert not workdir.exists()
    (machine.folder / "x-seeds" / "12" / "results.csv").touch()
    assert machine.start("gather.sh", "--config.dtype=float32", WORKDIR=str(workdir)).returncode == 0
    assert {path.name for path in workdir.iterdir()} == {"seed_0", "seed_12", "config.json", "environment.json"}
    assert machine.calls[-1][1][-3:] == [f"--workdir={workdir}", "--config.seeds=(0,12,)", "--config.dtype=float32"]


@pytest.mark.slow
def test_seeds_run_side_by_side_are_gathered_into_one_run(tmp_path):
    machine = Machine(tmp_path)
    small = ["--config.imp.levels=2", "--config.train.duration=2it", "--config.imp.rewind=1it"]
    small += ["--config.train.milestones=()", "--config.pool.methods=()"]
    small += ["--config.model=tests.networks:one_convolution", "--config.width=8"]
    told = {"CONFIG": DIGITS, "WORKDIR": str(tmp_path / "run"), "PYTHON": sys.executable, "SEEDS": "0 1", "GPUS": "0 1"}
    for script in ("seeds.sh", "gather.sh"):
        done = machine.start(script, *small, **told)
        assert done.returncode == 0, done.stderr
    alone = [(tmp_path / "run-seeds" / str(seed) / "results.csv").read_text().splitlines() for seed in (0, 1)]
    together = (tmp_path / "run" / "results.csv").read_text().splitlines()
    assert sorted(together) == sorted({*alone[0], *alone[1]})
    assert {line.split(",")[0] for line in together} == {"seed", "0", "1"}
    assert (tmp_path / "run" / "report" / "report.html").exists()
