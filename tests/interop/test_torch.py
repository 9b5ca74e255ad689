"""The command imports every form of the PyTorch implementations, exports, and refuses in one line."""

import hashlib
import json

import jax
import numpy as np
import pytest

from lpjax import data, store
from lpjax.interop import files, split_masks, to_state_dict
from lpjax.interop.torch import main
from lpjax.sparsity import kernels
from lpjax.store import paths

pytestmark = pytest.mark.slow  # whole networks there and back

CIFAR = data.PUBLISHED["cifar100"]
KEPT = (1206, 965, 772)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def command(*arguments):
    main([str(argument) for argument in arguments])


@pytest.fixture
def refused(capsys):
    def line(*arguments):
        with pytest.raises(SystemExit) as ended:
            command(*arguments)
        said = capsys.readouterr().err
        assert ended.value.code == 2
        assert said.startswith("lpjax: ")
        assert said.count("\n") == 1
        return said

    return line


@pytest.fixture
def tickets(make_ticket):
    return [make_ticket(kept=None if kept == KEPT[0] else kept) for kept in KEPT]


@pytest.fixture
def cifar(tmp_path, write, make_state, tickets):
    folder = tmp_path / "cifar"
    for level, ticket in enumerate(tickets):
        content = {"state_dict": make_state(ticket, CIFAR), "epoch": 90 + level, "best_sa": 70.0 + level, "result": {}}
        write(folder / f"{level}model_SA_best.pth.tar", content)
        write(folder / f"{level}checkpoint.pth.tar", content)
    return folder


@pytest.fixture
def openlth(tmp_path, write, make_ticket):
    """Two replicates of two levels; what may be pruned includes the classifier."""
    everything = {}
    for replicate in (1, 2):
        for level, kept in enumerate((None, 2000)):
            ticket = make_ticket("imagenet_resnet18", kept=kept, seed=10 * replicate + level, prunable=kernels)
            everything[replicate - 1, level] = ticket
            plain = to_state_dict(ticket, form="plain")
            masks = {name: (array != 0).astype(np.int32) for name, array in plain.items() if array.ndim > 1}
            folder = tmp_path / f"lottery_0f/replicate_{replicate}/level_{level}/main"
            write(folder / "mask.pth", {f"model.{name}": mask for name, mask in masks.items()})
            write(folder / "model_ep5_it0.pth", {"model.fc.bias": np.zeros(1)})
            write(folder / "model_ep90_it0.pth", {f"model.{name}": array for name, array in plain.items()})
    return tmp_path / "lottery_0f", everything


def test_cifar_tickets_come_whole(cifar, tmp_path, tickets, capsys):
    command(cifar, tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    for level, ticket in enumerate(tickets):
        directory = paths.level(out, 0, level)
        same(store.restore_ticket(paths.ticket(directory), like=ticket.params), ticket)
        assert store.read_json(paths.summary(directory)) == {
            "level": level,
            "kept": KEPT[level],
            "total": KEPT[0],
            "density": KEPT[level] / KEPT[0],
            "epoch": 90 + level,
            "validation_accuracy": pytest.approx(0.7 + level / 100),
        }
    record = store.read_json(out / "tickets.json")
    name = "1model_SA_best.pth.tar"
    digest = hashlib.sha256((cifar / name).read_bytes()).hexdigest()
    assert record["seeds"]["0"]["sources"][name] == digest
    assert record["seeds"]["0"]["levels"] == [0, 1, 2]
    assert [record[field] for field in ("model", "classes", "width", "dataset")] == ["resnet8", 3, 2, "cifar100"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[1] == "seed 0 level  1: kept 965 (0.8002)"
    assert shown[-1].endswith(f"cifar100 normalization built in: {out}")


def test_a_level_without_those_before_it_comes_with_a_word(cifar, tmp_path, capsys):
    command(cifar / "1model_SA_best.pth.tar", tmp_path / "out", "--seed=3")
    assert store.exists(paths.ticket(paths.level(tmp_path / "out", 3, 1)))
    assert capsys.readouterr().out.endswith("; lpjax.main needs level 0 of seed 3 too\n")


def test_a_refusal_after_lines_of_levels_says_that_they_are_in_vain(cifar, tmp_path, write, capsys):
    write(cifar / "1model_SA_best.pth.tar", {"optimizer": {}})
    with pytest.raises(SystemExit):
        command(cifar, tmp_path / "out")
    shown = capsys.readouterr()
    assert shown.out == "seed 0 level  0: kept 1,206 (1.0000)\n"
    assert "1model_SA_best.pth.tar" in shown.err
    assert shown.err.endswith("nothing was written\n")
    assert not (tmp_path / "out").exists()


def test_other_seeds_join_and_others_do_not(cifar, tmp_path, refused, openlth, tickets):
    out = tmp_path / "out"
    out.mkdir()
    command(cifar, out)
    assert "--seed=1" in refused(cifar, out)
    command(cifar, out, "--seed=1")
    assert sorted(store.read_json(out / "tickets.json")["seeds"]) == ["0", "1"]
    same(store.restore_ticket(paths.ticket(paths.level(out, 1, 2)), like=tickets[2].params), tickets[2])
    assert "model: got imagenet_resnet18" in refused(openlth[0], out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert "tickets.json" in refused(cifar, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_openlth_replicates_are_seeds_and_its_classifier_is_pruned(openlth, tmp_path):
    source, everything = openlth
    command(source, tmp_path / "out")
    for (seed, level), ticket in everything.items():
        directory = paths.level(tmp_path / "out", seed, level)
        same(store.restore_ticket(paths.ticket(directory), like=ticket.params), ticket)
        assert store.read_json(paths.summary(directory))["validation_accuracy"] is None
    record = store.read_json(tmp_path / "out" / "tickets.json")
    assert record["dataset"] is None
    assert "replicate_2/level_1/main/mask.pth" in record["seeds"]["1"]["sources"]


def test_bare_state_dicts_need_masks_or_a_word(write, tmp_path, make_ticket, refused):
    dense, pruned = make_ticket(), make_ticket(kept=1000)
    write(tmp_path / "bare" / "net2.pth", to_state_dict(dense))
    command(tmp_path / "bare", tmp_path / "dense", "--level=4")
    directory = paths.level(tmp_path / "dense", 0, 4)
    same(store.restore_ticket(paths.ticket(directory), like=dense.params), dense)
    write(tmp_path / "bare" / "net10.pth", to_state_dict(pruned, form="plain"))
    said = refused(tmp_path / "bare", tmp_path / "out")
    assert "net10.pth: --mask: got no masks" in said
    assert "206" in said
    assert not (tmp_path / "out").exists()
    command(tmp_path / "bare", tmp_path / "out", "--mask=nonzero", "--model=resnet8")
    same(store.restore_ticket(paths.ticket(paths.level(tmp_path / "out", 0, 1)), like=pruned.params), pruned)


def test_what_does_not_belong_together_is_refused(cifar, write, tmp_path, make_ticket, make_state, refused):
    name = "1model_SA_best.pth.tar"
    others = {
        "another architecture": make_state(make_ticket("resnet20", kept=500), CIFAR),
        "'fc.weight' is not prunable": make_state(make_ticket(kept=500, prunable=kernels), CIFAR),
        "dataset: got cifar10": make_state(make_ticket(kept=500), data.PUBLISHED["cifar10"]),
        "normalize: got mean": make_state(make_ticket(kept=500), ((0.5,) * 3, (0.25,) * 3)),
    }
    for message, state in others.items():
        write(cifar / name, {"state_dict": state})
        said = refused(cifar, tmp_path / "out")
        assert message in said
        assert name in said
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_a_level_comes_back_as_the_original_was(cifar, tmp_path, capsys):
    command(cifar, tmp_path / "out")
    command(paths.level(tmp_path / "out", 0, 2), tmp_path / "back.pth")
    (original, masks), (back, masks_back) = (
        split_masks(state)
        for state in (
            files.load(cifar / "2model_SA_best.pth.tar")["state_dict"],
            files.load(tmp_path / "back.pth"),
        )
    )
    same(original, back)
    same(masks, masks_back)
    np.testing.assert_allclose(files.load(tmp_path / "back.pth")["normalize.mean"], CIFAR[0], rtol=1e-6)
    assert "resnet8: kept 772 (0.6401)" in capsys.readouterr().out


def test_an_exported_level_can_be_imported_again(cifar, tmp_path, tickets):
    command(cifar, tmp_path / "out")
    command(paths.level(tmp_path / "out", 0, 2), tmp_path / "back.pth")
    command(tmp_path / "back.pth", tmp_path / "again", "--level=2")
    same(store.restore_ticket(paths.ticket(paths.level(tmp_path / "again", 0, 2)), tickets[2].params), tickets[2])


def test_imagenet_networks_are_exported_as_openlth_has_them(openlth, tmp_path):
    source, _ = openlth
    command(source, tmp_path / "out")
    command(paths.level(tmp_path / "out", 1, 1), tmp_path / "back.pth")
    original = files.load(source / "replicate_2/level_1/main/model_ep90_it0.pth")
    back = files.load(tmp_path / "back.pth")
    assert list(back) == list(original)
    same(back, original)


@pytest.mark.parametrize(("dataset", "said"), [("cifar10", "cifar10"), ("cifar10:3.0.2", "cifar10"), ("digits", None)])
def test_a_run_s_own_tickets_and_pools_are_exported(write, make_ticket, tmp_path, dataset, said):
    store.write_json(tmp_path / "config.json", {"dataset": dataset})
    pool = paths.pool(tmp_path, 0, "interpolation", 3)
    store.save_ticket(paths.ticket(pool), make_ticket(kept=300))
    command(pool, tmp_path / "pool.pth")
    state = files.load(tmp_path / "pool.pth")
    assert ("normalize.std" in state) == (said is not None)
    command(pool, tmp_path / "plain.pth", "--form=plain", "--dataset=cifar100")
    state = files.load(tmp_path / "plain.pth")
    np.testing.assert_allclose(state["normalize.std"], CIFAR[1], rtol=1e-6)
    assert not [name for name in state if name.endswith("_mask")]


def test_networks_of_sparse_training_are_exported_and_imported_bare(write, make_ticket, tmp_path):
    store.write_json(tmp_path / "config.json", {"dataset": "cifar100"})
    ticket = make_ticket("suptickets_resnet50", kept=3000, prunable=kernels)
    level = paths.level(tmp_path, 0, 0)
    store.save_ticket(paths.ticket(level), ticket)
    command(level, tmp_path / "ticket.pth")
    state = files.load(tmp_path / "ticket.pth")
    assert {"layer1.0.shortcut.0.weight", "classifier.weight"} < set(state)
    assert not [name for name in state if name.startswith("normalize") or name.endswith(("_mask", "fc.bias"))]
    command(tmp_path / "ticket.pth", tmp_path / "back", "--mask=nonzero")
    back = store.restore_ticket(paths.ticket(paths.level(tmp_path / "back", 0, 0)), ticket.params)
    same(back.params, ticket.params)


def test_mistakes_are_answered_in_one_line(write, make_ticket, tmp_path, refused):
    level = paths.level(tmp_path, 0, 1)
    store.save_ticket(paths.ticket(level), make_ticket(kept=300))
    write(tmp_path / "taken.pth", {})
    for arguments, message in (
        ((level, tmp_path / "taken.pth"), "taken.pth exists"),
        ((level, tmp_path / "folder"), "folder is not a .pth"),
        ((level, tmp_path / "a.pth", "--seed=1"), "--seed is only for imports"),
        ((tmp_path / "taken.pth", tmp_path / "out", "--form=plain"), "--form is only for exports"),
        ((tmp_path / "taken.pth", tmp_path / "out", "--seed=-1"), "--seed: got '-1'"),
        ((tmp_path / "taken.pth", tmp_path / "out"), "taken.pth: got no tensors"),
        ((tmp_path, tmp_path / "out", "--mask=zero"), "--mask: invalid choice: 'zero'"),
        ((tmp_path / "absent", tmp_path / "out"), "absent does not exist"),
    ):
        assert message in refused(*arguments)
    assert json.loads((level / "ticket" / "seal.json").read_text())
