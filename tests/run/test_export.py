"""Tickets and pools of a finished run are exported with a card, read back, and taken by another run."""

import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpjax
from lpjax import run, store
from lpjax.errors import UserError
from lpjax.interop.onnx import run_onnx
from lpjax.interop.packed import read_packed, read_packed_file
from lpjax.run.export import SUFFIXES
from lpjax.run.load import smaller_network
from lpjax.store import paths
from lpjax.types import Ticket

pytestmark = pytest.mark.slow  # needs the finished run


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture
def pool(finished):
    return paths.pool(finished, 0, "interpolation", 1)


def test_a_pool_is_packed_with_its_card_and_read_back(pool, tmp_path):
    path = tmp_path / "pool.lpz"
    lines = run.export(pool, path)
    ticket = store.restore_ticket(pool)
    same(read_packed(path), ticket)
    assert any("pool.lpz" in line for line in lines)
    known = read_packed_file(path).provenance
    assert (known["method"], known["level"], known["kept"]) == (
        "interpolation",
        1,
        store.read_json(paths.summary(pool))["kept"],
    )
    card = (tmp_path / "pool.lpz.md").read_text()
    measured = store.read_json(paths.evaluation(pool))["test"]["accuracy"]
    assert f"| test | {measured:.4f} | 1 |" in card
    assert f"{known['kept']:,} of {known['total']:,}" in card
    assert "read_packed" in card
    assert "License" in card


def test_the_reader_on_the_card_runs(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for suffix in (".lpz", ".onnx", ".stablehlo"):
        run.export(pool, tmp_path / f"file{suffix}")
        card = (tmp_path / f"file{suffix}.md").read_text()
        code = card.partition("```python\n")[2].partition("```")[0]
        names = {}
        exec(code, names)
        if suffix == ".lpz":
            same(names["ticket"], store.restore_ticket(pool))
        else:
            assert names["logits"].shape == (1, 10)


def test_a_folder_of_packed_levels_is_taken_by_a_run(finished, tiny_config, tmp_path):
    for level in (0, 1, 2):
        run.export(paths.level(finished, 0, level), tmp_path / f"{level}.lpz")
    lines = run.import_file(tmp_path, tmp_path / "tickets")
    assert len(lines) == 4
    for level in (0, 1, 2):
        ours = paths.level(tmp_path / "tickets", 0, level)
        same(store.restore_ticket(ours), store.restore_ticket(paths.level(finished, 0, level)))
        same(store.restore_mask(ours), store.restore_mask(paths.level(finished, 0, level)))
    config = tiny_config(imp__tickets_from=str(tmp_path / "tickets"), pool__methods=())
    run.run(config, tmp_path / "again")
    for level in (0, 1, 2):
        before = store.read_json(paths.evaluation(paths.level(finished, 0, level)))
        after = store.read_json(paths.evaluation(paths.level(tmp_path / "again", 0, level)))
        assert before["test"] == after["test"]


def test_a_program_of_jax_predicts_as_the_run(finished, pool, tmp_path):
    run.export(pool, tmp_path / "pool.stablehlo")
    program = jax.export.deserialize(bytearray((tmp_path / "pool.stablehlo").read_bytes()))
    network = run.load(finished, level=1, pool="interpolation")
    images = network.setup.data.test.images[:9]
    np.testing.assert_array_equal(program.call(images), network.predict(images))
    assert "6 months" in (tmp_path / "pool.stablehlo.md").read_text()


def test_an_onnx_file_predicts_as_the_run(finished, pool, tmp_path):
    (line, _) = run.export(pool, tmp_path / "pool.onnx")
    assert "from JAX" in line
    network = run.load(finished, level=1, pool="interpolation")
    images = np.asarray(network.setup.data.test.images[:9])
    expected = np.asarray(network.predict(images))
    got = run_onnx((tmp_path / "pool.onnx").read_bytes(), images)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_a_program_can_be_shrunk_first_and_computes_the_same(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    level = paths.level(workdir, 0, 1)
    setup = run.load(workdir, level=1).setup
    ticket = store.restore_ticket(level)
    mask = lpjax.select_channels(lpjax.magnitude(ticket.params), ticket.mask, setup.network.graph, 0.5)
    channels = Ticket(lpjax.apply_mask(ticket.params, mask), mask)
    shutil.rmtree(paths.ticket(level))
    store.save_ticket(paths.ticket(level), channels, setup.network.prunable)
    network = run.load(workdir, level=1)
    images = np.asarray(network.setup.data.test.images[:5])
    expected = np.asarray(network.predict(images))
    for name in ("small.stablehlo", "small.onnx"):
        (line, _) = run.export(level, tmp_path / name, shrink=True)
        left, full = re.search(r"shrunk to ([\d,]+) of ([\d,]+) parameters", line).groups()
        assert int(left.replace(",", "")) < int(full.replace(",", ""))
        content = (tmp_path / name).read_bytes()
        if name.endswith(".onnx"):
            got = run_onnx(content, images)
        else:
            got = jax.export.deserialize(bytearray(content)).call(images)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_an_onnx_file_of_a_run_in_bfloat16_computes_in_float32(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    config = store.read_json(paths.config(workdir))
    store.write_json(paths.config(workdir), {**config, "dtype": "bfloat16"})
    run.export(paths.level(workdir, 0, 1), tmp_path / "ticket.onnx")
    network = run.load(workdir, level=1, dtype="float32")
    images = np.asarray(network.setup.data.test.images[:5])
    expected = np.asarray(network.predict(images))
    got = run_onnx((tmp_path / "ticket.onnx").read_bytes(), images)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_a_smaller_network_has_fewer_parameters_where_channels_are_pruned(finished):
    setup = run.load(finished, level=1).setup
    variables = setup.network.initialize(jax.random.key(0))
    mask = lpjax.select_channels(lpjax.magnitude(variables), lpjax.full_mask(variables), setup.network.graph, 0.5)
    ticket = Ticket(lpjax.apply_mask(variables, mask), mask)
    small, apply = smaller_network(ticket, setup)
    images = setup.data.preprocess(setup.data.test.images[:5])
    expected, _ = setup.network.apply(ticket.params, images)
    np.testing.assert_allclose(apply(small.params, images)[0], expected, rtol=1e-4, atol=1e-5)
    assert sum(map(jnp.size, jax.tree.leaves(small.params))) < sum(map(jnp.size, jax.tree.leaves(variables)))


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(finished, pool, tmp_path):
    (tmp_path / "there.lpz").write_text("")
    (tmp_path / "card.lpz.md").write_text("")
    before = sorted(tmp_path.iterdir())
    refused = [
        (pool, "there.lpz", {}),
        (pool, "card.lpz", {}),
        (pool, "pool.bin", {}),
        (pool, "pool.lpz", {"shrink": True}),
        (pool, "pool.pth", {"dataset": "cifar99"}),
        (pool, "pool.lpz", {"dtype": "int8"}),
        (pool, "pool.onnx", {"dtype": "float16"}),
        (pool, "pool.lpz", {"form": "plain"}),
        (pool, "pool.stablehlo", {"dataset": "cifar10"}),
        (pool, "pool.safetensors", {"form": "dense"}),
        (finished / "seed_0", "pool.lpz", {}),
    ]
    for source, name, options in refused:
        with pytest.raises(UserError) as error:
            run.export(source, tmp_path / name, **options)
        assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_programs_need_the_work_directory_of_a_run(pool, tmp_path):
    run.export(pool, tmp_path / "pool.lpz")
    run.import_file(tmp_path / "pool.lpz", tmp_path / "tickets")
    with pytest.raises(UserError, match="tickets_from"):
        run.export(paths.level(tmp_path / "tickets", 0, 1), tmp_path / "pool.onnx")
    run.export(paths.level(tmp_path / "tickets", 0, 1), tmp_path / "again.lpz")
    same(read_packed(tmp_path / "again.lpz"), read_packed(tmp_path / "pool.lpz"))


def test_what_cannot_be_imported_is_refused(finished, pool, tmp_path):
    run.export(pool, tmp_path / "pool.lpz")
    (tmp_path / "program.onnx").write_bytes(b"")
    out = tmp_path / "out"
    for source, options in (
        (tmp_path / "program.onnx", {}),
        (tmp_path / "missing.lpz", {}),
        (tmp_path / "pool.lpz", {"model": "resnet8"}),
        (tmp_path / "pool.lpz", {"mask": "nonzero"}),
    ):
        with pytest.raises(UserError):
            run.import_file(source, out, **options)
    run.export(paths.level(finished, 0, 1), tmp_path / "ticket.lpz")
    with pytest.raises(UserError, match="both level 1"):
        run.import_file(tmp_path, out)
    with pytest.raises(UserError, match="--level"):
        run.import_file(tmp_path, out, level=3)
    (tmp_path / "gap").mkdir()
    for level in (0, 2):
        run.export(paths.level(finished, 0, level), tmp_path / "gap" / f"{level}.lpz")
    with pytest.raises(UserError, match="level 0 is followed by level 2"):
        run.import_file(tmp_path / "gap", out)
    assert not out.exists()


def test_files_that_are_ignored_beside_packed_ones_are_named(finished, tmp_path):
    (tmp_path / "files").mkdir()
    run.export(paths.level(finished, 0, 0), tmp_path / "files" / "a.lpz")
    (tmp_path / "files" / "b.safetensors").touch()
    *_, line = run.import_file(tmp_path / "files", tmp_path / "out")
    assert "b.safetensors" in line


def test_an_imported_pool_is_exported_with_the_card_of_its_lineage(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    pool = paths.pool(workdir, 0, "interpolation", 1)
    trace = store.read_json(paths.trace(pool))
    for trial in trace["trials"]:  # whatever the search found
        trial.update(accepted=True, coefficient=0.25)
    store.write_json(paths.trace(pool), trace)
    run.export(pool, tmp_path / "pool.lpz")
    *_, line = run.import_file(tmp_path / "pool.lpz", tmp_path / "tickets")
    assert "needs level 0 of seed 0" in line
    run.export(paths.level(tmp_path / "tickets", 0, 1), tmp_path / "again.lpz")
    before, after = [(tmp_path / f"{name}.lpz.md").read_text() for name in ("pool", "again")]
    lineage = before.partition("## Lineage")[2].partition("##")[0]
    assert lineage.count("| 0.25 |") == len(trace["trials"])
    assert after.partition("## Lineage")[2].partition("##")[0] == lineage
    assert "anchor of a pool by `interpolation`" in after


def test_seed_and_level_can_be_given(pool, tmp_path):
    run.export(pool, tmp_path / "pool.lpz")
    *_, line = run.import_file(tmp_path / "pool.lpz", tmp_path / "out", seed=5, level=0)
    assert "level 0" not in line
    assert store.exists(paths.level(tmp_path / "out", 5, 0))
    record = json.loads((tmp_path / "out" / "tickets.json").read_text())
    assert record["seeds"]["5"]["levels"] == [0]


def test_every_format_has_its_own_suffixes():
    suffixes = [suffix for group in SUFFIXES.values() for suffix in group]
    assert len(set(suffixes)) == len(suffixes)
