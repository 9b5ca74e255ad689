import contextlib
import json
import logging
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from lpjax import sparsity, store
from lpjax.store import atomic_dir
from lpjax.types import Ticket, Variables

ROOT = Path(__file__).parents[2]


def ticket_of(value):
    params = {
        "layer1": {"conv": {"kernel": jnp.full((3, 3, 2, 4), value)}, "norm": {"scale": jnp.ones(4)}},
        "dense": {"kernel": jnp.arange(12.0).reshape(4, 3), "bias": jnp.full(3, value, jnp.bfloat16)},
    }
    stats = {"layer1": {"norm": {"mean": jnp.zeros(4), "var": jnp.full(4, value)}}}
    mask = jax.tree.map(lambda p: p > 1 if p.ndim > 1 else jnp.ones(p.shape, bool), params)
    return Ticket(Variables(params, stats), Variables(mask, jax.tree.map(lambda p: jnp.ones(p.shape, bool), stats)))


def assert_equal(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "level_00" / "ticket"
    store.save_ticket(directory, ticket_of(2.0))
    return directory


def test_a_ticket_comes_back_bit_for_bit(saved):
    assert store.exists(saved)
    assert_equal(store.restore_ticket(saved), ticket_of(2.0))


def test_on_disk_a_leaf_that_is_never_pruned_has_a_scalar_true_for_a_mask(saved):
    leaf = store.restore_mask(saved)["dense"]["bias"]
    assert leaf.dtype == bool
    assert leaf.shape == ()
    assert leaf


def test_the_mask_on_disk_covers_the_parameters_alone_and_counts_what_may_be_pruned(saved):
    stored, ticket = store.restore_mask(saved), ticket_of(2.0)
    assert stored.keys() == ticket.params.params.keys()
    assert sparsity.total(stored, sparsity.all_leaves) == sparsity.total(ticket.mask)
    assert int(sparsity.kept(stored, sparsity.all_leaves)) == int(sparsity.kept(ticket.mask))


def test_a_mask_with_scalars_is_written_like_the_whole_one(saved, tmp_path):
    ticket = ticket_of(2.0)
    scalars = jax.tree.map(lambda m: m if m.ndim > 1 else jnp.array(True), ticket.mask)
    store.save_ticket(tmp_path / "ticket", Ticket(ticket.params, scalars))
    assert_equal(store.restore_ticket(tmp_path / "ticket"), ticket)
    assert_equal(store.restore_mask(tmp_path / "ticket"), store.restore_mask(saved))


def test_pruned_weights_are_never_lost_whatever_is_said_to_be_prunable(tmp_path):
    params = {"w": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    ticket = Ticket(params, {"w": jnp.eye(2) > 0, "bias": jnp.array([True, False])})
    store.save_ticket(tmp_path / "ticket", ticket, sparsity.kernels)
    assert_equal(store.restore_ticket(tmp_path / "ticket"), ticket)


@pytest.mark.parametrize("prunable", [sparsity.by_path("bias"), {"bias": True, "w": False}])
def test_a_predicate_or_a_tree_tells_what_may_be_pruned(prunable, tmp_path):
    params = {"w": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    store.save_ticket(tmp_path / "ticket", Ticket(params, sparsity.full_mask(params)), prunable)
    stored = store.restore_mask(tmp_path / "ticket")
    assert (stored["bias"].shape, stored["w"].shape) == ((2,), ())


def test_a_ticket_of_any_tree_comes_back_in_its_containers(tmp_path):
    params = [jnp.ones((2, 2)), {"bias": jnp.zeros(2)}]
    ticket = Ticket(params, [jnp.eye(2, dtype=bool), {"bias": jnp.ones(2, bool)}])
    store.save_ticket(tmp_path / "ticket", ticket)
    assert_equal(store.restore_ticket(tmp_path / "ticket", like=params), ticket)


def test_a_mask_of_another_network_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"'w'.*\(3, 2\).*\(2, 2\)"):
        store.save_ticket(tmp_path / "ticket", Ticket({"w": jnp.ones((2, 2))}, {"w": jnp.ones((3, 2), bool)}))
    assert not list(tmp_path.iterdir())


def test_only_what_is_asked_for_is_read(saved):
    assert store.restore(saved, "mask").keys() == {"mask"}
    assert store.restore(saved, "stats").keys() == {"stats"}
    assert store.restore(saved).keys() == {"params", "stats", "mask"}


def test_a_network_without_statistics_is_stored_too(tmp_path):
    ticket = Ticket(Variables({"w": jnp.ones((2, 2))}, {}), Variables({"w": jnp.eye(2, dtype=bool)}, {}))
    store.save_ticket(tmp_path / "ticket", ticket)
    assert_equal(store.restore_ticket(tmp_path / "ticket"), ticket)


def test_a_ticket_moves_with_its_directory(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "elsewhere")
    assert_equal(store.restore_ticket(tmp_path / "elsewhere"), ticket_of(2.0))


def test_a_state_comes_back_in_the_containers_of_its_like(tmp_path):
    params = {"w": jnp.arange(3.0), "b": jnp.zeros(())}
    state = (optax.adam(0.1).init(params), [jnp.int32(4), {"key": jax.random.key_data(jax.random.key(3))}])
    store.save(tmp_path / "progress", state=state, step=7)
    like = jax.eval_shape(lambda: state)
    assert_equal(store.restore(tmp_path / "progress", like={"state": like})["state"], state)
    assert store.restore(tmp_path / "progress", "step") == {"step": 7}


def test_a_ticket_of_lists_comes_back_with_its_mask_in_lists(tmp_path):
    mask = [jnp.eye(2, dtype=bool), (jnp.ones(2, bool),)]
    ticket = Ticket(Variables([jnp.ones((2, 2)), (jnp.ones(2),)], {}), Variables(mask, {}))
    store.save_ticket(tmp_path / "ticket", ticket)
    assert_equal(store.restore_ticket(tmp_path / "ticket", like=ticket.params), ticket)


def test_a_ticket_of_another_network_is_refused_by_name(saved):
    params, stats = ticket_of(2.0).params
    wider = Variables(params | {"dense": {"kernel": jnp.ones((4, 5)), "bias": jnp.ones(5)}}, stats)
    with pytest.raises(ValueError, match=r"'dense/bias'.*\(3,\).*\(5,\)"):
        store.restore_ticket(saved, like=wider)


@pytest.mark.parametrize("leaf", ["text", jnp.zeros((0, 3)), jax.random.key(0)])
def test_what_is_no_array_of_numbers_is_refused_before_anything_is_written(leaf, tmp_path):
    with pytest.raises(ValueError, match="cannot save"):
        store.save(tmp_path / "progress", state={"leaf": leaf})
    assert not list(tmp_path.iterdir())


def test_saving_again_replaces_the_ticket_and_leaves_nothing_beside_it(tmp_path):
    for value in (1.0, 2.0, 3.0):
        store.save_ticket(tmp_path / "ticket", ticket_of(value))
    assert_equal(store.restore_ticket(tmp_path / "ticket"), ticket_of(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["ticket"]


@pytest.mark.parametrize("directory", ["never", "empty"])
def test_where_no_ticket_is_the_error_says_so_in_one_line(directory, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not store.exists(tmp_path / directory)
    with pytest.raises(store.DamagedTicket) as caught:
        store.restore_ticket(tmp_path / directory)
    assert str(tmp_path / directory) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_ticket_is_found_by_its_folder_and_by_that_of_its_level(saved):
    for directory in (saved, saved.parent):
        assert store.exists(directory)
        assert store.find_ticket(directory) == saved
        assert_equal(store.restore_ticket(directory), ticket_of(2.0))
        assert_equal(store.restore_mask(directory), store.restore_mask(saved))


@pytest.mark.parametrize("read", [store.restore_ticket, store.restore_mask, store.restore])
@pytest.mark.parametrize("directory", ["thesis", "empty", "missing", "seed_0"])
def test_nobody_is_told_to_delete_a_folder_that_is_no_ticket(directory, read, saved, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    (tmp_path / "empty").mkdir()
    shutil.copytree(saved, tmp_path / "seed_0" / "level_00" / "ticket")
    with pytest.raises(store.DamagedTicket) as refusal:
        read(tmp_path / directory)
    assert str(tmp_path / directory) in str(refusal.value)
    assert "delete that" not in str(refusal.value)


def test_a_damaged_ticket_is_named_by_its_own_folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "level_00" / "ticket")
    (tmp_path / "level_00" / "ticket" / "commit_success.txt").unlink()
    with pytest.raises(store.DamagedTicket) as refusal:
        store.restore_ticket(tmp_path / "level_00" / "ticket")
    assert f"damaged ticket {tmp_path}/level_00/ticket: " in str(refusal.value)
    assert "delete that folder" in str(refusal.value)


def test_nobody_is_told_to_delete_the_checkpoint_of_another_program(tmp_path):
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(tmp_path / "theirs", args=ocp.args.PyTreeSave({"w": np.ones(3)}))
    with pytest.raises(store.DamagedTicket, match=r"seal\.json") as refusal:
        store.restore_ticket(tmp_path / "theirs")
    assert "delete that" not in str(refusal.value)


NAMES = (
    "a[1]",
    "[0-9]",
    "a*",
    "a**",
    "what?",
    "a b",
    "100%",
    "%20",
    "{x}",
    "~",
    "#@!",
    "a\\b",
    "é",
    "a\nb",
    "gs:",
    "'\"",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_folders_may_have_any_name(name, tmp_path):
    for directory in (tmp_path / name / "level_00" / "ticket", tmp_path / "plain" / name):
        for value in (1.0, 2.0):
            store.save_ticket(directory, ticket_of(value))
        assert store.exists(directory)
        assert_equal(store.restore_ticket(directory), ticket_of(2.0))
        store.save_progress(directory, w=np.ones(3)).result()
        assert store.restore_progress(directory)["w"].tolist() == [1, 1, 1]
        assert [path.name for path in directory.parent.iterdir()] == [directory.name]
        store.remove(directory)
        assert not list(directory.parent.iterdir())


def test_a_pattern_in_a_name_takes_no_other_folder_for_this_one(tmp_path):
    for number, name in enumerate(("ab", "a*", "a?")):
        store.save(tmp_path / name / "ticket", w=np.full(3, number))
    for number, name in enumerate(("ab", "a*", "a?")):
        assert store.restore(tmp_path / name / "ticket")["w"].tolist() == [number] * 3


@pytest.mark.parametrize("name", ["ab", "a[1]"])
def test_a_directory_that_orbax_cannot_list_is_a_damaged_ticket(name, tmp_path):
    place = tmp_path / name
    store.save(place, w=np.ones(3))
    (place / "_METADATA").unlink()
    seal = json.loads((place / "seal.json").read_text())
    del seal["_METADATA"]
    (place / "seal.json").write_text(json.dumps(seal))
    with pytest.raises(store.DamagedTicket, match="no arrays in it"):
        store.restore(place)


@pytest.fixture
def late(saved, tmp_path, monkeypatch):
    """Makes a ticket that a process sees whole only after it has looked and slept a few times."""

    def make(process, part):
        directory, naps = tmp_path / "ticket", []
        shutil.copytree(saved, directory)
        (directory / part).rename(tmp_path / "unseen")

        def sleep(seconds):
            naps.append(seconds)
            if len(naps) == 3:
                (tmp_path / "unseen").rename(directory / part)

        monkeypatch.setattr(jax, "process_index", lambda: process)
        monkeypatch.setattr(atomic_dir.time, "sleep", sleep)
        return directory, naps

    return make


@pytest.mark.parametrize("part", [".", "commit_success.txt", "seal.json", "_METADATA", "d"])
def test_a_further_process_waits_for_what_a_shared_disk_shows_it_late(part, late):
    directory, naps = late(1, part)
    assert_equal(store.restore_ticket(directory), ticket_of(2.0))
    assert len(naps) == 3


@pytest.mark.parametrize("part", [".", "commit_success.txt", "seal.json", "_METADATA", "d"])
def test_the_first_process_does_not_wait(part, late):
    directory, naps = late(0, part)
    with pytest.raises(store.DamagedTicket):
        store.restore(directory)
    assert not naps


def test_a_further_process_does_not_wait_for_ever(saved, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "ticket")
    (tmp_path / "ticket" / "_METADATA").write_text("")
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(atomic_dir, "_PATIENCE", 0.5)
    start = time.monotonic()
    with pytest.raises(store.DamagedTicket, match="_METADATA"):
        store.restore(tmp_path / "ticket")
    assert 0.5 <= time.monotonic() - start < 3


def test_a_missing_item_is_named(saved):
    with pytest.raises(store.DamagedTicket, match=r"mask, params, stats, .*start"):
        store.restore(saved, "mask", "start")


def _delete(file):
    file.unlink()


def _empty(file):
    file.write_bytes(b"")


def _halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def _replace_by_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [_delete, _empty, _halve, _flip, _replace_by_folder])
def test_no_damaged_file_goes_unnoticed(damage, saved, tmp_path):
    files = [path.relative_to(saved) for path in saved.rglob("*") if path.is_file()]
    assert len(files) > 5
    for file in files:
        broken = tmp_path / "ticket"
        shutil.copytree(saved, broken)
        damage(broken / file)
        for read in (store.restore_ticket, store.restore_mask):
            with pytest.raises(store.DamagedTicket) as caught:
                read(broken)
            assert str(broken) in str(caught.value)
            assert "\n" not in str(caught.value)
        shutil.rmtree(broken)


@pytest.mark.slow
def test_flipped_bits_of_the_arrays_never_come_back_as_numbers(saved, tmp_path):
    random = np.random.default_rng(0)
    files = [path.relative_to(saved) for path in saved.rglob("*") if path.is_file()]
    broken = tmp_path / "ticket"
    for _ in range(100):
        shutil.copytree(saved, broken)
        file = broken / files[random.integers(len(files))]
        data = bytearray(file.read_bytes())
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        file.write_bytes(data)
        with pytest.raises(store.DamagedTicket):
            store.restore_ticket(broken)
        shutil.rmtree(broken)


def test_who_never_saves_keeps_the_interpreter_s_own_words():
    said, filters = sys.unraisablehook, list(logging.getLogger("absl").filters)
    runpy.run_path(atomic_dir.__file__)
    assert sys.unraisablehook is said
    assert logging.getLogger("absl").filters == filters


def test_who_saves_hears_all_but_what_a_failed_save_is_told_in_one_line(tmp_path, monkeypatch):
    heard = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", heard.append)
        atomic_dir._silence_orbax.cache_clear()
        for _ in range(2):
            store.save(tmp_path / "ticket", a=np.ones(3))
        for reason in ("Event loop is closed", "no memory"):
            sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(reason)))
    atomic_dir._silence_orbax.cache_clear()
    assert [str(error.exc_value) for error in heard] == ["no memory"]
    assert logging.getLogger("absl").filters.count(atomic_dir._is_news) == 1


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextlib.contextmanager
def killed_after(survived, monkeypatch):
    steps = iter(range(survived))

    def mortal(function):
        def call(*args, **kwargs):
            if next(steps, None) is None:
                raise Killed
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(atomic_dir, "_write_seal", mortal(atomic_dir._write_seal))
        patch.setattr(Path, "rename", mortal(Path.rename))
        patch.setattr(Path, "unlink", mortal(Path.unlink))
        patch.setattr(atomic_dir.shutil, "rmtree", mortal(shutil.rmtree))
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_an_interrupted_first_save_is_not_taken_for_a_ticket(survived, tmp_path, monkeypatch):
    directory = tmp_path / "ticket"
    with killed_after(survived, monkeypatch):
        store.save_ticket(directory, ticket_of(1.0))
    assert not store.exists(directory)
    store.save_ticket(directory, ticket_of(2.0))
    assert_equal(store.restore_ticket(directory), ticket_of(2.0))
    assert [path.name for path in tmp_path.iterdir()] == ["ticket"]


@pytest.mark.parametrize("survived", range(7))
def test_an_interrupted_save_leaves_the_old_ticket_or_the_new(survived, tmp_path, monkeypatch):
    directory = tmp_path / "ticket"
    store.save_ticket(directory, ticket_of(1.0))
    with killed_after(survived, monkeypatch):
        store.save_ticket(directory, ticket_of(2.0))
    assert store.exists(directory)
    # Renamed last, after leftovers were cleared twice, the seal, a former backup, and the old one's step aside.
    assert_equal(store.restore_ticket(directory), ticket_of(2.0 if survived == 6 else 1.0))
    store.save_ticket(directory, ticket_of(3.0))
    assert_equal(store.restore_ticket(directory), ticket_of(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["ticket"]


SAVE_FOREVER = """
import itertools, sys
from pathlib import Path
import numpy as np
from lpjax import store
for number in itertools.count():
    store.save(Path(sys.argv[1]), a=np.full(100_000, number), b={"c": np.full(10, number)})
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_ticket(tmp_path, killed):
    directory = tmp_path / "progress"
    for reported in killed(SAVE_FOREVER, directory, times=4, saves=(3, 9), within=0.1):
        items = store.restore(directory)
        assert items["a"][0] >= reported
        assert (items["a"] == items["a"][0]).all()
        assert (items["b"]["c"] == items["a"][0]).all()


TWO_PROCESSES = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from lpjax import store
from lpjax.types import Ticket, Variables
replicated = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec())
directory = Path(sys.argv[3])
for value in (1.0, 2.0):
    build = jax.jit(lambda v: {"w": jax.numpy.full((4, 4), v)}, out_shardings=replicated)
    params = build(value)
    store.save_ticket(directory, Ticket(Variables(params, {}), Variables({"w": np.eye(4, dtype=bool)}, {})))
    assert (store.restore_ticket(directory).params.params["w"] == value).all()
"""


@pytest.mark.slow
def test_two_processes_write_one_ticket_that_a_single_device_reads(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "XLA_FLAGS": ""}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, address, str(number), str(tmp_path / "ticket")],
            cwd=ROOT,
            env=environment,
        )
        for number in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    ticket = store.restore_ticket(tmp_path / "ticket")
    wanted = Variables({"w": np.full((4, 4), 2, np.float32)}, {})
    assert_equal(ticket, Ticket(wanted, Variables({"w": np.eye(4, dtype=bool)}, {})))
