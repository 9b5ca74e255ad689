"""What is exported to safetensors is a plain state dict to others, and the same ticket to lpjax."""

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lpjax import store
from lpjax.errors import UserError
from lpjax.interop import files, safetensors
from lpjax.interop.exporting import export_ticket, read_saved, write_state_dict
from lpjax.interop.importing import import_tickets
from lpjax.interop.layout import to_state_dict
from lpjax.sparsity import convolution_kernels
from lpjax.store import paths

PROVENANCE = {"seed": 4, "level": 2, "epoch": 7, "validation_accuracy": 0.75, "method": "ticket"}


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def ticket(make_ticket):
    """A ticket one of whose kept weights is exactly zero, which no mask of nonzero weights shows."""
    ticket = make_ticket(kept=700)
    kernel = ticket.params.params["layer1_0"]["conv1"]["kernel"]
    kernel[tuple(np.argwhere(ticket.mask.params["layer1_0"]["conv1"]["kernel"])[0])] = 0
    return ticket


@pytest.fixture(scope="module")
def level(ticket, tmp_path_factory):
    directory = paths.level(tmp_path_factory.mktemp("run"), 4, 2)
    store.save_ticket(paths.ticket(directory), ticket, convolution_kernels)
    return directory


def test_others_read_a_plain_state_dict(level, ticket, tmp_path):
    path = tmp_path / "ticket.safetensors"
    (line,) = export_ticket(level, path)
    assert "700" in line
    state = load_file(path)
    wanted = to_state_dict(ticket, form="plain")
    assert state.keys() == wanted.keys()
    same(state, {name: wanted[name] for name in state})
    with safe_open(path, "np") as file:
        assert file.metadata()["format"] == "pt"


@pytest.mark.parametrize("form", ["plain", "pruned"])
def test_lpjax_reads_the_same_ticket_at_its_own_level(level, ticket, tmp_path, form):
    path = tmp_path / "ticket.safetensors"
    write_state_dict(read_saved(level), path, form=form, provenance=PROVENANCE)
    list(import_tickets(path, tmp_path / "out"))
    directory = paths.level(tmp_path / "out", 4, 2)
    same(store.restore_ticket(directory), ticket)
    same(store.restore_mask(directory), store.restore_mask(level))
    summary = store.read_json(paths.summary(directory))
    assert (summary["kept"], summary["epoch"], summary["validation_accuracy"]) == (700, 7, 0.75)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_lower_precision_is_read_as_the_rounded_values(level, ticket, tmp_path, dtype):
    path = tmp_path / "ticket.safetensors"
    write_state_dict(read_saved(level), path, dtype=dtype)
    assert load_file(path)["conv1.weight"].dtype == np.dtype(dtype)
    list(import_tickets(path, tmp_path / "out"))
    back = store.restore_ticket(paths.level(tmp_path / "out", 0, 0))
    same(back.mask, ticket.mask)
    kernel = ticket.params.params["conv1"]["kernel"]
    np.testing.assert_array_equal(
        back.params.params["conv1"]["kernel"], kernel.astype(np.dtype(dtype)).astype(np.float32)
    )
    same(back.params.stats, ticket.params.stats)


def test_a_dense_ticket_keeps_what_is_prunable(make_ticket, tmp_path):
    directory = paths.level(tmp_path, 0, 0)
    store.save_ticket(paths.ticket(directory), make_ticket(), lambda name, leaf: name.endswith("conv1/kernel"))
    list(export_ticket(directory, tmp_path / "dense.safetensors"))
    list(import_tickets(tmp_path / "dense.safetensors", tmp_path / "out"))
    same(store.restore_mask(paths.level(tmp_path / "out", 0, 0)), store.restore_mask(directory))


def test_levels_of_a_folder_are_those_they_say(make_ticket, tmp_path):
    for level, kept in enumerate((1000, 500)):
        directory = paths.level(tmp_path / "run", 0, level)
        store.save_ticket(paths.ticket(directory), make_ticket(kept=kept), convolution_kernels)
        name = ("z.safetensors", "a.safetensors")[level]
        write_state_dict(read_saved(directory), tmp_path / "out" / name, provenance={"level": level})
    found = files.find(tmp_path / "out")[1]
    assert [(source.level, source.weights.name) for source in found] == [(0, "z.safetensors"), (1, "a.safetensors")]


def test_files_of_other_tools_have_no_record(tmp_path):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "other.safetensors")
    assert safetensors.read_record(tmp_path / "other.safetensors") == {}
    (tmp_path / "broken.safetensors").write_bytes(b"no header")
    assert safetensors.read_record(tmp_path / "broken.safetensors") == {}


def test_precision_of_pytorch_files_is_float32(level, tmp_path):
    with pytest.raises(UserError, match="dtype"):
        write_state_dict(read_saved(level), tmp_path / "ticket.pth", dtype="float16")


def test_a_state_dict_says_for_which_network_it_is_and_whether_it_normalizes(level, tmp_path):
    saved = read_saved(level)
    plain = write_state_dict(saved, tmp_path / "plain.safetensors").about
    normalizes = write_state_dict(saved, tmp_path / "normalizes.safetensors", dataset="cifar10").about
    assert "`resnet8` as the Lottery Pools code defines it" in plain
    assert "No normalization" in plain
    assert "`normalize.mean`" in normalizes
