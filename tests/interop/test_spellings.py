"""Checkpoints as people save them: whatever prefixes, wrappers, names, masks and files, the ticket is the same."""

import re

import jax
import numpy as np
import pytest

from lpjax import data, store
from lpjax.errors import UserError
from lpjax.interop import files, split_masks, to_state_dict
from lpjax.interop.exporting import export_ticket
from lpjax.interop.importing import import_tickets
from lpjax.sparsity import convolution_kernels
from lpjax.store import paths
from lpjax.types import Ticket, Variables


@pytest.fixture(scope="module")
def ticket(make_ticket):
    return make_ticket(kept=700)


@pytest.fixture(scope="module")
def pruned(ticket, make_state):
    """The state dict of `torch.nn.utils.prune`, nonzero under its masks."""
    return make_state(ticket)


def masks_of(state):
    return {name.removesuffix("_mask"): mask for name, mask in state.items() if name.endswith("_mask")}


def weights_of(state):
    return {name.removesuffix("_orig"): array for name, array in state.items() if not name.endswith("_mask")}


def renamed(state, pattern, replacement):
    return {re.sub(pattern, replacement, name): array for name, array in state.items()}


def imported(source, destination, **options):
    lines = list(import_tickets(source, destination, **options))
    return store.restore_ticket(paths.ticket(paths.level(destination, 0, 0))), lines


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "module.module.", "model._orig_mod.module."],
)
def test_prefixes_in_any_order_and_number_are_stripped(pruned, ticket, prefix, write, tmp_path):
    write(tmp_path / "net.pth", renamed(pruned, "^", prefix))
    same(imported(tmp_path / "net.pth", tmp_path / "out")[0], ticket)


def test_a_compiled_submodule_has_its_prefix_inside(pruned):
    state = renamed(pruned, r"^layer2\.", "layer2._orig_mod.")
    same(split_masks(state), split_masks(pruned))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"net": state, "acc": 93.1, "epoch": 199},
        lambda state: {"model": state, "optimizer": {"state": {0: {"momentum_buffer": np.ones((2, 2))}}}},
        lambda state: {"model_state_dict": state, "epoch": 3, "args": {"lr": 0.1}},
        lambda state: {"model_state": state},
        lambda state: {"student": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": state, "ema_state_dict": {name: array + 1 for name, array in state.items()}},
    ],
)
def test_the_state_dict_of_a_checkpoint_is_found(pruned, ticket, wrap, write, tmp_path):
    write(tmp_path / "net.pth", wrap(pruned))
    same(imported(tmp_path / "net.pth", tmp_path / "out")[0], ticket)


def test_of_two_networks_of_unusual_names_neither_is_chosen(pruned, write, tmp_path):
    write(tmp_path / "net.pth", {"teacher": pruned, "student": pruned})
    with pytest.raises(UserError, match=r"net\.pth: got several networks \('teacher', 'student'\)"):
        imported(tmp_path / "net.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fc", "linear", "classifier"])
def test_classifiers_are_matched_by_shape_and_place(pruned, ticket, head, write, tmp_path):
    write(tmp_path / "net.th", {"state_dict": renamed(pruned, r"^fc\.", f"module.{head}."), "best_prec1": 91.78})
    same(imported(tmp_path, tmp_path / "out")[0], ticket)


@pytest.mark.slow
def test_shortcuts_have_two_names(make_ticket, write, tmp_path):
    ticket = make_ticket("resnet18", kept=900)
    state = renamed(to_state_dict(ticket), "downsample", "shortcut")
    write(tmp_path / "net.pth", {"net": renamed(state, r"^fc\.", "linear.")})
    found, lines = imported(tmp_path / "net.pth", tmp_path / "out")
    same(found, ticket)
    assert lines[-1].startswith("resnet18, 3 classes, width 2")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".pth.tar"])
def test_every_suffix_is_found_in_a_folder(pruned, ticket, suffix, write, tmp_path):
    write(tmp_path / "in" / f"net{suffix}", pruned)
    same(imported(tmp_path / "in", tmp_path / "out")[0], ticket)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_safetensors_are_read(ticket, dtype, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    (tmp_path / "in").mkdir()
    state = {name: array.astype(dtype) for name, array in to_state_dict(ticket).items()}
    numpy.save_file(state, tmp_path / "in" / "net.safetensors")
    found = imported(tmp_path / "in", tmp_path / "out")[0]
    same(found.mask, ticket.mask)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(dtype)), found.params, ticket.params)
    (tmp_path / "net.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"net\.safetensors: it is corrupt"):
        files.load(tmp_path / "net.safetensors")


def test_what_is_no_tensor_is_ignored_and_said(pruned, ticket, write, tmp_path):
    write(tmp_path / "net.pth", pruned | {"best_acc": np.float64(93.1), "epoch": 7, "name": "resnet8"})
    found, lines = imported(tmp_path / "net.pth", tmp_path / "out")
    same(found, ticket)
    assert any("ignored best_acc, epoch, name" in line for line in lines)


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: (name, f"{name}_mask"),
        lambda name: (name, f"{name}.mask"),
        lambda name: (name, name.replace(".weight", ".mask")),
        lambda name: (f"{name}_orig", name.replace(".weight", ".mask")),
        lambda name: (
            name.replace("weight", "parametrizations.weight.original"),
            name.replace("weight", "parametrizations.weight.0.mask"),
        ),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.uint8, bool])
def test_masks_have_many_names(pruned, spell, kind):
    state = weights_of(pruned)
    for name, mask in masks_of(pruned).items():
        weight, spelled = spell(name)
        state[weight] = state.pop(name)
        state[spelled] = mask.astype(kind)
    same(split_masks(state), split_masks(pruned))


@pytest.mark.parametrize("names", [("net.pth", "net_mask.pth"), ("model.pth", "masks.pth"), ("net3.pt", "mask_3.pt")])
@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_a_second_file_of_masks_belongs_to_its_weights(pruned, ticket, names, suffix, write, tmp_path):
    write(tmp_path / "in" / names[0], {"state_dict": weights_of(pruned)})
    write(tmp_path / "in" / names[1], {f"module.{name}{suffix}": mask for name, mask in masks_of(pruned).items()})
    for number, source in enumerate((tmp_path / "in", tmp_path / "in" / names[0])):
        same(imported(source, tmp_path / f"out{number}")[0], ticket)
    sources = store.read_json(tmp_path / "out0" / "tickets.json")["seeds"]["0"]["sources"]
    assert sorted(sources) == sorted(names)


def test_masks_may_be_a_dict_beside_the_state_dict(pruned, ticket, write, tmp_path):
    write(tmp_path / "net.pth", {"state_dict": weights_of(pruned), "masks": masks_of(pruned)})
    same(imported(tmp_path / "net.pth", tmp_path / "out")[0], ticket)


def test_zeros_are_masks_where_that_is_said(ticket, write, tmp_path):
    write(tmp_path / "net.pth", to_state_dict(ticket, form="plain"))
    with pytest.raises(UserError, match="--mask=nonzero"):
        imported(tmp_path / "net.pth", tmp_path / "out")
    same(imported(tmp_path / "net.pth", tmp_path / "out", mask="nonzero")[0], ticket)


@pytest.mark.parametrize("mask", ["stored", "nonzero"])
@pytest.mark.parametrize("names", [("a.pth", "b.pth"), ("masks.pth", "masks.pth")])
def test_masks_are_never_weights(pruned, names, mask, write, tmp_path):
    write(tmp_path / "in" / names[0], weights_of(pruned))
    write(tmp_path / "in" / names[1], masks_of(pruned))
    source = tmp_path / "in" if names[0] != names[1] else tmp_path / "in" / names[1]
    with pytest.raises(UserError, match=rf"{names[1]}: got masks .*net_mask\.pth beside net\.pth"):
        imported(source, tmp_path / "out", mask=mask)
    assert not (tmp_path / "out").exists()


def test_masks_of_several_files_at_once_are_refused(pruned, write, tmp_path):
    for name in ("net1.pth", "net2.pth"):
        write(tmp_path / "in" / name, weights_of(pruned))
    write(tmp_path / "in" / "masks.pth", masks_of(pruned))
    with pytest.raises(UserError, match=r"masks\.pth: got masks of 2 files of weights"):
        imported(tmp_path / "in", tmp_path / "out")


def test_a_name_with_masked_in_it_is_that_of_weights(pruned, ticket, write, tmp_path):
    write(tmp_path / "in" / "unmasked_net.pth", pruned)
    same(imported(tmp_path / "in", tmp_path / "out")[0], ticket)


def test_the_network_of_a_user_is_not_exported_and_that_is_said(tmp_path):
    for name in ("bias", "embedding"):
        layer = {"kernel": np.ones((3, 2), np.float32), name: np.ones(2, np.float32)}
        params = Variables({"Dense_0": layer}, {"bn": {"mean": np.ones(2, np.float32)}})
        ticket = Ticket(params, jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), params))
        store.save_ticket(tmp_path / name / "ticket", ticket)
        with pytest.raises(UserError, match=rf"{name}/ticket is of no network.*\.lpz"):
            list(export_ticket(tmp_path / name, tmp_path / "net.pth"))


def test_levels_whose_masks_are_not_nested_raise_doubt(make_ticket, write, tmp_path):
    for level, (kept, seed) in enumerate([(900, 0), (700, 0), (500, 1)]):
        write(tmp_path / "in" / f"net{level}.pth", to_state_dict(make_ticket(kept=kept, seed=seed)))
    warnings = [line for line in imported(tmp_path / "in", tmp_path / "out")[1] if line.startswith("warning")]
    assert len(warnings) == 1
    assert "level 2 keeps" in warnings[0]
    assert "level 1 has pruned" in warnings[0]


@pytest.mark.slow
def test_openlth_s_default_network_is_imported_and_exported(make_ticket, write, tmp_path):
    ticket = make_ticket("openlth_resnet20", kept=4000)
    state = to_state_dict(ticket)
    main = tmp_path / "lottery_1" / "replicate_1" / "level_0" / "main"
    write(main / "mask.pth", {name: mask.astype(np.int32) for name, mask in masks_of(state).items()})
    write(main / "model_ep160_it0.pth", weights_of(state))
    found, lines = imported(tmp_path / "lottery_1", tmp_path / "out")
    same(found, ticket)
    assert lines[-1].startswith("openlth_resnet20, 3 classes, width 2")
    list(export_ticket(paths.level(tmp_path / "out", 0, 0), tmp_path / "back.pth"))
    assert list(files.load(tmp_path / "back.pth")) == list(weights_of(state))


@pytest.mark.parametrize("end", ["", "ticket"])
def test_the_exporter_takes_a_level_and_its_ticket(ticket, end, write, tmp_path):
    store.write_json(tmp_path / "config.json", {"dataset": "cifar10"})
    level = paths.level(tmp_path, 0, 9)
    store.save_ticket(paths.ticket(level), ticket, convolution_kernels)
    list(export_ticket(level / end, tmp_path / "net.pth"))
    state = files.load(tmp_path / "net.pth")
    np.testing.assert_allclose(state["normalize.mean"], data.PUBLISHED["cifar10"][0], rtol=1e-6)
    same(split_masks(state), split_masks(to_state_dict(ticket)))


def test_masks_take_a_byte_per_weight_and_weights_alone_nothing_more(make_ticket):
    def size(ticket, **options):
        return sum(array.nbytes for array in to_state_dict(ticket, **options).values())

    dense, ticket = make_ticket(), make_ticket(kept=160)
    assert size(ticket, form="plain") == size(dense)
    assert size(ticket) == size(dense) + 1206
