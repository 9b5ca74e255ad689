"""What a card says of its file works as it is written."""

import jax
import numpy as np
import pytest

from lpjax import cli, run, store
from lpjax.sparsity import convolution_kernels
from lpjax.store import paths


@pytest.fixture
def level(make_ticket, tmp_path):
    directory = paths.level(tmp_path / "run", 0, 2)
    store.save_ticket(paths.ticket(directory), make_ticket(kept=700), convolution_kernels)
    return directory


@pytest.fixture
def section(level, write, tmp_path, monkeypatch):
    """Exports the ticket, and returns the section "Reading it" of the card."""
    del write  # files of PyTorch are written and read without it
    monkeypatch.chdir(tmp_path)

    def export(name, form):
        run.export(level, tmp_path / name, form=form)
        return (tmp_path / f"{name}.md").read_text().partition("## Reading it")[2].partition("##")[0]

    return export


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.lpz", ""), ("a.safetensors", ""), ("a.safetensors", "pruned"), ("a.pth", "pruned"), ("a.pth", "plain")],
)
def test_the_import_command_restores_the_ticket(section, level, tmp_path, name, form):
    words = section(name, form).partition("`lpjax import ")[2].partition("`")[0].split()
    assert words[:2] == [name, "FOLDER"]
    cli.main(["import", *words])
    (directory,) = (tmp_path / "FOLDER" / "seed_0").iterdir()
    jax.tree.map(np.testing.assert_array_equal, store.restore_ticket(directory), store.restore_ticket(level))


@pytest.mark.parametrize(("form", "entry"), [("plain", "conv1.weight"), ("pruned", "conv1.weight_orig")])
def test_the_code_reads_safetensors(section, form, entry):
    text = section("a.safetensors", form)
    names = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    assert entry in names["state"]
    assert ("X_orig" in text) == (form == "pruned")
