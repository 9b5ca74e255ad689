"""Progress on disk: what is saved while training goes on is the old or the new, whole."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lpjax import store
from lpjax.store import atomic_dir

ROOT = Path(__file__).parents[2]
MESH = Mesh(np.array(jax.devices()), ("data",))


def state_of(value):
    params = {"w": jnp.full((8, 3), value), "b": jnp.full(3, value, jnp.bfloat16)}
    state = (jnp.int32(7), params, optax.sgd(0.1, momentum=0.9).init(params), jax.random.key(int(value)))
    return jax.device_put(state, NamedSharding(MESH, P()))


def assert_equal(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert ours.dtype == theirs.dtype
        if jax.dtypes.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        np.testing.assert_array_equal(ours, theirs)


def restored(directory):
    return store.restore_progress(directory, {"state": state_of(0.0)})["state"]


def test_replicated_and_sharded_arrays_keys_and_numbers_come_back_bit_for_bit(tmp_path):
    state, spread = state_of(2.0), jax.device_put(jnp.arange(16.0), NamedSharding(MESH, P("data")))
    seen = np.array([[0, 0, 0], [32, 1 / 3, -np.inf]])
    store.save_progress(tmp_path / "p", state=state, spread=spread, seen=seen, value=-np.inf, none=None).result()
    got = store.restore_progress(tmp_path / "p", {"state": jax.eval_shape(lambda: state)})
    assert got.keys() == {"state", "spread", "seen", "value"}
    assert_equal(got["state"], state)
    np.testing.assert_array_equal(got["spread"], np.arange(16.0, dtype=np.float32))
    assert got["seen"].dtype == np.float64
    np.testing.assert_array_equal(got["seen"], seen)
    assert got["value"] == -np.inf
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_steps_may_donate_what_is_being_saved(tmp_path):
    step = jax.jit(lambda w: w + 1, donate_argnums=0)
    w = jnp.zeros((512, 512))
    for number in range(1, 6):
        w = step(w)
        saving = store.save_progress(tmp_path / "p", w=w)
        for _ in range(5):
            w = step(w)
        saving.result()
        assert (store.restore_progress(tmp_path / "p")["w"] == 6 * number - 5).all()


def test_a_full_disk_is_one_line_and_the_old_progress_is_whole(tmp_path, monkeypatch, caplog):
    store.save_progress(tmp_path / "p", state=state_of(1.0)).result()

    def refuse(directory):
        raise OSError(errno.ENOSPC, "No space left on device", str(directory))

    with monkeypatch.context() as patch:
        patch.setattr(atomic_dir, "_write_seal", refuse)
        saving = store.save_progress(tmp_path / "p", state=state_of(2.0))
        with pytest.raises(store.StorageError, match=r"/p: No space left on device"):
            saving.result()
        with pytest.raises(store.StorageError, match="No space left on device"):
            store.save(tmp_path / "ticket", a=np.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert_equal(restored(tmp_path / "p"), state_of(1.0))
    store.save_progress(tmp_path / "p", state=state_of(2.0)).result()
    assert_equal(restored(tmp_path / "p"), state_of(2.0))
    assert not caplog.records


def test_what_the_storage_of_orbax_says_of_a_full_disk_is_one_line_too(tmp_path):
    with pytest.raises(store.StorageError, match=r"/p: No space left on device"), atomic_dir.replacing(tmp_path / "p"):
        raise ValueError("RESOURCE_EXHAUSTED: ... Failed to write 5312512 bytes: ... [os_error_code='28']")
    with pytest.raises(KeyError), atomic_dir.replacing(tmp_path / "p"):
        raise KeyError("a mistake of ours stays what it is")


def test_what_killed_processes_left_is_cleaned_away(tmp_path):
    (tmp_path / ".p.new.orbax-checkpoint-tmp" / "d").mkdir(parents=True)
    (tmp_path / ".p.new").mkdir()
    store.save_progress(tmp_path / "p", state=state_of(1.0)).result()
    (tmp_path / ".p.old").mkdir()
    (tmp_path / ".p.new").mkdir()
    (tmp_path / ".p.newer").mkdir()
    store.save(tmp_path / "p", a=np.ones(3))
    assert {path.name for path in tmp_path.iterdir()} == {"p", ".p.newer"}
    (tmp_path / ".p.new").mkdir()
    store.remove(tmp_path / "p")
    assert [path.name for path in tmp_path.iterdir()] == [".p.newer"]


def test_what_is_removed_does_not_come_back_from_its_backup(tmp_path):
    store.save(tmp_path / "p", a=np.ones(3))
    (tmp_path / "p").rename(tmp_path / ".p.old")
    assert store.exists(tmp_path / "p")
    store.remove(tmp_path / "p")
    assert not store.exists(tmp_path / "p")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damaged_progress_is_refused_by_name(damage, tmp_path):
    store.save_progress(tmp_path / "p", state=state_of(1.0)).result()
    for file in [path.relative_to(tmp_path / "p") for path in (tmp_path / "p").rglob("*") if path.is_file()]:
        shutil.copytree(tmp_path / "p", tmp_path / "broken")
        stored = bytearray((tmp_path / "broken" / file).read_bytes())
        if damage == "flip" and stored:
            stored[len(stored) // 2] ^= 16
            (tmp_path / "broken" / file).write_bytes(stored)
        elif damage == "truncate" and stored:
            (tmp_path / "broken" / file).write_bytes(stored[:-1])
        else:
            (tmp_path / "broken" / file).unlink()
        with pytest.raises(store.DamagedProgress) as refusal:
            store.restore_progress(tmp_path / "broken")
        assert str(tmp_path / "broken") in str(refusal.value)
        assert "\n" not in str(refusal.value)
        shutil.rmtree(tmp_path / "broken")


def test_damaged_progress_between_two_renames_is_named_where_it_lies(tmp_path):
    store.save_progress(tmp_path / "p", state=state_of(1.0)).result()
    old = (tmp_path / "p").rename(tmp_path / ".p.old")
    assert_equal(restored(tmp_path / "p"), state_of(1.0))
    (old / "seal.json").unlink()
    with pytest.raises(store.DamagedProgress) as refusal:
        store.restore_progress(tmp_path / "p")
    assert str(old) in str(refusal.value)
    assert "seal.json" in str(refusal.value)
    assert str(old) in str(store.DamagedProgress(tmp_path / "p", ""))
    shutil.rmtree(old)
    assert not store.exists(tmp_path / "p")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("survived", range(6))
def test_an_interrupted_save_leaves_the_old_progress_or_the_new(survived, tmp_path, monkeypatch):
    store.save_progress(tmp_path / "p", state=state_of(1.0)).result()
    steps = iter(range(survived))

    def mortal(function):
        def call(*args, **kwargs):
            if next(steps, None) is None:
                raise Killed
            return function(*args, **kwargs)

        return call

    ready, commit = threading.Event(), atomic_dir.commit
    with monkeypatch.context() as patch:
        patch.setattr(atomic_dir, "commit", lambda directory: ready.wait() and commit(directory))
        saving = store.save_progress(tmp_path / "p", state=state_of(2.0))
        for place, name in (
            (atomic_dir, "_write_seal"),
            (Path, "rename"),
            (Path, "unlink"),
            (atomic_dir.shutil, "rmtree"),
        ):
            patch.setattr(place, name, mortal(getattr(place, name)))
        ready.set()
        assert isinstance(saving.exception(), Killed)
    assert store.exists(tmp_path / "p")
    value = float(restored(tmp_path / "p")[1]["w"][0, 0])
    assert value in (1.0, 2.0)
    assert_equal(restored(tmp_path / "p"), state_of(value))
    store.save_progress(tmp_path / "p", state=state_of(3.0)).result()
    assert_equal(restored(tmp_path / "p"), state_of(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


SAVE_FOREVER = """
import itertools, sys
from pathlib import Path
import jax, jax.numpy as jnp
from lpjax import store
step = jax.jit(lambda state: jax.tree.map(lambda a: a + 1, state), donate_argnums=0)
state = {"a": jnp.zeros(100_000), "b": {"c": jnp.zeros(10)}}
for number in itertools.count(1):
    state = step(state)
    saving = store.save_progress(Path(sys.argv[1]), number=number, **state)
    saving.result()
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_progress(tmp_path, killed):
    directory = tmp_path / "progress"
    for reported in killed(SAVE_FOREVER, directory, times=5, saves=(2, 6), within=0.15):
        items = store.restore_progress(directory)
        assert items["number"] >= reported
        assert (items["a"] == items["number"]).all()
        assert (items["b"]["c"] == items["number"]).all()


TWO_PROCESSES = """
import sys, signal, os
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from lpjax import store
mesh = Mesh(np.array(jax.devices()), ("data",))
build = jax.jit(
    lambda v: (jax.numpy.full((4, 4), v), v + jax.numpy.arange(8.0)),
    out_shardings=(NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))),
)
directory, saving = Path(sys.argv[3]), None
for value in (1.0, 2.0, 3.0):
    whole, spread = build(value)
    if saving:
        saving.result()
    saving = store.save_progress(directory, whole=whole, spread=spread, value=value)
    build(value + 10)  # training goes on
saving.result()
store.save(directory.with_name("ticket"), whole=whole)  # ends with a barrier
items = store.restore_progress(directory)
assert (items["whole"] == 3).all() and (items["spread"] == 3 + np.arange(8)).all() and items["value"] == 3
"""


@pytest.mark.slow
def test_two_processes_write_one_progress_that_any_reads(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, address, str(number), str(tmp_path / "progress")],
            cwd=ROOT,
            env={**os.environ, "XLA_FLAGS": ""},
        )
        for number in (0, 1)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    items = store.restore_progress(tmp_path / "progress")
    np.testing.assert_array_equal(items["spread"], 3 + np.arange(8.0, dtype=np.float32))
    assert {path.name for path in tmp_path.iterdir()} == {"progress", "ticket"}


def test_a_scalar_mask_of_an_older_version_comes_back_in_the_shape_that_is_wanted(tmp_path):
    old = {"mask": {"kernel": np.eye(2) > 0, "bias": np.array(True)}, "on": np.array(True)}
    store.save_progress(tmp_path / "progress", state=old).result()
    like = {"mask": {"kernel": jnp.zeros((2, 2), bool), "bias": jnp.zeros(3, bool)}, "on": jnp.zeros((), bool)}
    state = store.restore_progress(tmp_path / "progress", {"state": like})["state"]
    assert state["mask"]["bias"].tolist() == [True, True, True]
    np.testing.assert_array_equal(state["mask"]["kernel"], np.eye(2) > 0)
    assert state["on"].shape == ()
