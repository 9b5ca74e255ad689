"""What other libraries say is what `lpjax.wording` looks for: every message is provoked anew."""

import asyncio
import errno
import os
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tensorstore
from absl import flags
from array_record.python.array_record_data_source import ArrayRecordDataSource
from ml_collections import config_flags

from lpjax import wording


def test_tensorstore_tells_the_number_of_the_system_s_error(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with (
            pytest.raises(ValueError, match="os_error_code") as caught,
            ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer,
        ):
            checkpointer.save(
                tmp_path / "large", args=ocp.args.PyTreeSave({"w": np.random.default_rng(0).random(10**5)})
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(caught.value, OSError)
    assert wording.system_refusal(caught.value) == os.strerror(errno.EFBIG)


def test_the_system_s_own_errors_are_in_its_words():
    assert wording.system_refusal(OSError(errno.ENOSPC, "No space left on device", "x")) == "No space left on device"
    assert wording.system_refusal(OSError("of no number")) == "of no number"


def test_other_errors_are_no_refusals():
    assert wording.system_refusal(KeyError("w")) is None
    assert wording.system_refusal(None) is None


def test_asyncio_says_that_its_loop_is_closed():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError) as caught:
        loop.call_soon_threadsafe(print)
    assert wording.is_late_report(caught.value)
    assert not wording.is_late_report(RuntimeError("no memory"))
    assert not wording.is_late_report(None)


def test_tensorstore_says_that_a_file_it_wrote_to_is_removed(tmp_path):
    base = f"{(tmp_path / 'database').as_uri()}/"
    store = {"driver": "zarr", "kvstore": {"driver": "ocdbt", "base": base, "path": "w/"}}
    array = tensorstore.open(store, create=True, dtype=tensorstore.float32, shape=[1000]).result()
    array.write(np.random.default_rng(0).random(1000, np.float32)).result()
    for file in (tmp_path / "database" / "d").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="NOT_FOUND") as caught:
        array[:10].write(np.ones(10, np.float32)).result()
    assert wording.is_late_report(caught.value)
    assert wording.system_refusal(caught.value) is None


def test_array_record_names_the_system_call_that_failed(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        ArrayRecordDataSource(str(tmp_path))
    assert not isinstance(caught.value, OSError)
    assert wording.is_system_trouble(caught.value)


def test_a_file_of_array_record_that_is_missing_is_no_trouble_of_the_system(tmp_path):
    with pytest.raises(RuntimeError, match=r"\(\) failed: ") as caught:
        ArrayRecordDataSource(str(tmp_path / "missing"))
    assert not wording.is_system_trouble(caught.value)


def test_a_file_that_is_no_array_record_is_no_trouble_of_the_system(tmp_path):
    (tmp_path / "file").write_bytes(b"no record" * 1000)
    with pytest.raises(RuntimeError) as caught:
        ArrayRecordDataSource(str(tmp_path / "file"))
    assert not wording.is_system_trouble(caught.value)


JOIN = """
import jax
from lpjax import wording
try:
    jax.distributed.initialize()
except ValueError as error:
    print(wording.found_no_cluster(error), wording.backend_in_use(error))
jax.devices()
try:
    jax.distributed.initialize("127.0.0.1:1", 1, 0)
except RuntimeError as error:
    print(wording.found_no_cluster(error), wording.backend_in_use(error))
"""


@pytest.mark.slow
def test_jax_says_why_it_joins_no_other_processes():
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI", "TPU", "JAX_"))}
    done = subprocess.run(
        [sys.executable, "-c", JOIN], env=alone | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False", "False", "True"]


def test_jax_s_runtime_begins_with_a_status():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jnp.zeros(10**14).block_until_ready()
    assert wording.is_runtime_status(caught.value)
    assert not wording.is_runtime_status(ValueError("seeds: got (), expected one"))


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_absl_quotes_the_traceback_of_a_config_that_raised(tmp_path):
    (tmp_path / "config.py").write_text("def get_config():\n    return 1 / 0\n")
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    with pytest.raises(Exception, match="division by zero") as caught:
        values(["program", f"--config={tmp_path / 'config.py'}"])
    assert "\n" not in wording.reason_of_flags(caught.value)
    assert "division by zero" in wording.reason_of_flags(caught.value)


def test_what_absl_says_of_other_flags_is_kept():
    values = flags.FlagValues()
    with pytest.raises(flags.UnrecognizedFlagError) as caught:
        values(["program", "--unknown=1"])
    assert "unknown" in wording.reason_of_flags(caught.value)
