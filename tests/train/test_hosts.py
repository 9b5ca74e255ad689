"""Two processes of two devices each: what is replicated stays at home, what is spread comes to the numbers of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from lpjax.train import evaluator, mesh_of, recalibrator, replicate
from lpjax.types import Variables

KEY = 5
ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
import jax, numpy as np
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from lpjax.train import mesh_of, replicate
from tests.train.conftest import make_tiny
from tests.train.test_hosts import measured
mesh = mesh_of()
me = jax.process_index()
mine = replicate({"host": np.full(3, me), "number": me, "key": jax.random.key(3)}, mesh)
own = [np.asarray(mine["host"]).tolist(), int(mine["number"]), float(jax.random.uniform(mine["key"]))]
again = replicate(mine, mesh)["host"] is mine["host"]
print("SAW " + json.dumps({"devices": mesh.size, "own": own, "again": again, "values": measured(make_tiny(), mesh)}))
"""


def measured(tiny, mesh):
    """Accuracy and recalibrated statistics, of arrays that every process has made on its own."""
    data = replicate(tiny.data, mesh)
    variables = Variables(*jax.device_get(tiny.variables))  # as tickets are read: host arrays
    recalibrate = jax.jit(recalibrator(tiny.apply, tiny.augment, data, images=14, batch_size=8, mesh=mesh))
    fresh = recalibrate(variables, jax.random.key(KEY))
    accuracy = jax.jit(evaluator(tiny.apply, tiny.preprocess, data, 6, mesh))(fresh)
    return [float(accuracy), *(np.asarray(leaf).tolist() for leaf in jax.tree.leaves(fresh.stats))]


@pytest.mark.slow
def test_two_processes_compare_and_send_no_data_and_measure_as_one(tiny):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    setting = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, address, str(i)], env=setting, stdout=-1, stderr=-1, text=True)
        for i in range(2)
    ]
    outcomes = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], outcomes
    said = [next(line for line in out.splitlines() if line.startswith("SAW ")) for out, _ in outcomes]
    first, second = (json.loads(line.removeprefix("SAW ")) for line in said)
    assert first["devices"] == second["devices"] == 4
    drawn = float(jax.random.uniform(jax.random.key(3)))
    assert first["own"] == [[0, 0, 0], 0, drawn]  # jax.device_put would refuse values that differ
    assert second["own"] == [[1, 1, 1], 1, drawn]
    assert first["again"] is True
    assert first["values"] == second["values"]
    alone = measured(tiny, mesh_of(jax.devices()[:1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), first["values"], alone)
