"""What lies in a folder of PyTorch files, and how they are read."""

import contextlib
import errno
import os
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lpjax.errors import StorageError, UserError
from lpjax.interop import files


@pytest.fixture
def touch(tmp_path):
    def put(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return put


def found(source, **options):
    form, sources = files.find(source, **options)
    return form, [(one.seed, one.level, one.weights.relative_to(source).as_posix()) for one in sources]


def test_the_best_of_every_level_is_taken_in_natural_order(touch):
    source = touch(*(f"{k}{kind}.pth.tar" for k in range(11) for kind in ("checkpoint", "model_SA_best")), "epoch_9.pt")
    form, levels = found(source)
    assert form == "cifar"
    assert levels == [(0, k, f"{k}model_SA_best.pth.tar") for k in range(11)]


def test_last_weights_are_taken_where_no_best_ones_are(touch):
    form, levels = found(touch("4checkpoint.pth.tar", "5checkpoint.pth.tar"), seed=3)
    assert (form, levels) == ("cifar", [(3, 4, "4checkpoint.pth.tar"), (3, 5, "5checkpoint.pth.tar")])


def openlth(touch, replicate, levels, ends=("model_ep5_it0.pth", "model_ep90_it0.pth", "model_ep9_it7.pth")):
    names = ("mask.pth", *ends, "logger")
    return touch(*(f"{replicate}/level_{k}/main/{name}" for k in levels for name in names))


def test_replicates_are_seeds_and_the_last_weights_count(touch):
    openlth(touch, "replicate_2", range(11))
    source = openlth(touch, "replicate_1", (0, 1))
    touch("replicate_1/level_pretrain/main/model_ep5_it0.pth")
    form, levels = found(source)
    assert form == "openlth"
    assert [(seed, level) for seed, level, _ in levels] == [(0, 0), (0, 1), *((1, k) for k in range(11))]
    assert levels[-1][2] == "replicate_2/level_10/main/model_ep90_it0.pth"
    assert {one.mask.name for one in files.find(source)[1]} == {"mask.pth"}
    assert {seed for seed, _, _ in found(source / "replicate_2")[1]} == {1}
    assert {seed for seed, _, _ in found(source / "replicate_2", seed=5)[1]} == {5}
    with pytest.raises(ValueError, match="--seed: got 5"):
        files.find(source, seed=5)


def test_a_level_in_training_is_refused(touch):
    source = openlth(touch, "replicate_1", (0, 1))
    openlth(touch, "replicate_1", (2,), ("model_ep5_it0.pth",))
    with pytest.raises(ValueError, match=r"level_2/main .*epoch 5, iteration 0"):
        files.find(source)
    (source / "replicate_1/level_1/main/mask.pth").unlink()
    with pytest.raises(ValueError, match=r"level_1/main .*mask\.pth"):
        files.find(source)


def test_bare_state_dicts_are_levels_in_natural_order(touch):
    source = touch("net10.pt", "net9.pth", "net1.pth.tar", "notes.txt")
    form, levels = found(source, level=2)
    assert form == "state dicts"
    assert levels == [(0, 2, "net1.pth.tar"), (0, 3, "net9.pth"), (0, 4, "net10.pt")]
    assert files.find(source / "net9.pth", level=7)[1] == [files.Source(0, 7, source / "net9.pth")]


def test_one_file_may_name_its_level(touch):
    source = touch("3model_SA_best.pth.tar") / "3model_SA_best.pth.tar"
    assert files.find(source) == ("cifar", [files.Source(0, 3, source)])
    with pytest.raises(ValueError, match="--level: got 4"):
        files.find(source, level=4)


def test_gaps_and_empty_folders_are_refused(touch, tmp_path):
    with pytest.raises(ValueError, match="absent does not exist"):
        files.find(tmp_path / "absent")
    with pytest.raises(ValueError, match=f"{tmp_path}: got no tickets"):
        files.find(touch("notes.txt"))
    with pytest.raises(ValueError, match=r"level 0 .*level 2 .*2model_SA_best"):
        files.find(touch("0model_SA_best.pth.tar", "2model_SA_best.pth.tar"))


STATE = {"fc.weight": np.full((1, 2), 0.5)}


@pytest.mark.parametrize(
    ("name", "content", "epoch", "accuracy"),
    [
        ("3model_SA_best.pth.tar", {"state_dict": STATE, "epoch": 120, "best_sa": 71.5}, 120, 0.715),
        ("3checkpoint.pth.tar", {"state_dict": STATE, "epoch": 182, "best_sa": 71.5}, 182, None),
        ("3model_SA_best.pth.tar", {"state_dict": STATE}, None, None),
        ("net.pth", STATE, None, None),
        ("net.pth", {"net": STATE, "acc": 93.1, "epoch": 7}, 7, None),
        ("net.pth", {"model_state_dict": STATE, "optimizer_state_dict": {"state": {0: STATE}}}, None, None),
        ("net.pth", {"checkpoint": {"student": STATE}}, None, None),
    ],
)
def test_epoch_and_accuracy_are_those_of_the_weights(tmp_path, name, content, epoch, accuracy):
    contents = files.read(files.Source(0, 3, tmp_path / name), lambda path: content)
    assert contents.state == STATE
    assert (contents.known.get("epoch"), contents.known.get("validation_accuracy")) == (epoch, accuracy)


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"state_dict": 3}, {"fc.weight": "x"}, {"optimizer": {"state": {0: STATE}}}]
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    with pytest.raises(UserError, match=r"net\.pth.*state dict"):
        files.read(files.Source(0, 0, tmp_path / "net.pth"), lambda path: content)


class Tensor:
    def __init__(self, dtype):
        self.dtype = dtype

    def detach(self):
        return self

    def float(self):
        return Tensor("float32")

    def numpy(self):
        return np.ones(2, self.dtype)


def pretend(monkeypatch, load):
    stand_in = SimpleNamespace(load=load, Tensor=Tensor, float16="float16", bfloat16="bfloat16")
    stand_in.serialization = SimpleNamespace(safe_globals=contextlib.nullcontext)
    monkeypatch.setitem(sys.modules, "torch", stand_in)


def test_nothing_that_a_file_holds_is_run(monkeypatch, tmp_path):
    asked = {}

    def load(path, **options):
        asked.update(options, path=path)
        return {"state_dict": {"a": Tensor("bfloat16"), "b": Tensor("int64")}, "epoch": 3}

    pretend(monkeypatch, load)
    content = files.load(tmp_path / "net.pth")
    assert asked == {"map_location": "cpu", "weights_only": True, "path": tmp_path / "net.pth"}
    assert {name: array.dtype.name for name, array in content["state_dict"].items()} == {"a": "float32", "b": "int64"}
    assert content["epoch"] == 3


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            pickle.UnpicklingError("Weights only load failed.\nIn PyTorch 2.6"),
            "net.pth: .*Python objects",
        ),
        (
            RuntimeError("PytorchStreamReader failed\nreading"),
            "net.pth: .*RuntimeError",
        ),
        (EOFError(), "net.pth: .*EOFError"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(monkeypatch, tmp_path, error, message):
    def load(path, **options):
        raise error

    pretend(monkeypatch, load)
    with pytest.raises(ValueError, match=message) as refusal:
        files.load(tmp_path / "net.pth")
    assert "\n" not in str(refusal.value)
    assert "net.pth" in str(refusal.value)


def test_without_pytorch_the_command_to_install_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    for attempt in (lambda: files.load(tmp_path / "net.pth"), lambda: files.save(tmp_path / "net.pth", STATE)):
        with pytest.raises(ValueError, match="pip install torch"):
            attempt()


def test_a_full_disk_is_one_line(monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stand_in = SimpleNamespace(save=lambda state, file: file.write(b"tensors"), from_numpy=np.array)
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"net\.pth: No space left on device") as refusal:
        files.save(tmp_path / "net.pth", STATE)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
