"""The character model: its size, exact densities, donation, and runs that go on."""

import jax
import jax.numpy as jnp
import pytest

import lpjax
from experiments.char_lm import __main__ as char_lm
from experiments.char_lm.text import Text, load, windows

pytestmark = pytest.mark.filterwarnings("ignore:pruning left no weight:UserWarning")  # so small a network
STEPS = 20


@pytest.fixture(scope="module", autouse=True)
def promotion():
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules and adam
        yield


@pytest.fixture(scope="module")
def text():
    whole = load()
    return Text(whole.train[:2000], whole.validation[:300], whole.test[:300], whole.alphabet)


@pytest.fixture(scope="module")
def problem(text):
    return char_lm.Problem(text, STEPS, width=16, heads=2, blocks=1)


@pytest.fixture(scope="module")
def results(problem):
    """Every method; of those that train a network per density, the first density."""
    return [next(char_lm.rigl(problem, 0)), next(char_lm.gmp(problem, 0)), *char_lm.tickets(problem, 0)]


@pytest.mark.slow
def test_the_network_has_about_800_000_weights():
    shapes = char_lm.Problem(load(), STEPS).shapes
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == pytest.approx(800_000, rel=0.05)
    assert lpjax.total(shapes) == pytest.approx(760_000, rel=0.05)


def test_the_text_is_split_into_contiguous_stretches_and_windows_predict_each_character_once(text):
    whole = load()
    sizes = [part.size for part in (whole.train, whole.validation, whole.test)]
    assert [size / sum(sizes) for size in sizes] == pytest.approx([0.8, 0.1, 0.1], abs=1e-4)
    cut = windows(text.test, 64)
    assert cut.shape == (4, 65)
    assert cut[:, 1:].ravel().tolist() == text.test[1:257].tolist()


@pytest.mark.slow
def test_a_character_is_predicted_from_those_before_it(problem):
    logits = jax.jit(lambda tokens: problem.network(rngs=char_lm.nnx.Rngs(0))(tokens))
    tokens = problem.test[:1, :-1]
    changed = tokens.at[0, 40].add(1)
    differ = jnp.any(logits(tokens) != logits(changed), axis=-1)[0]
    assert not differ[:40].any()
    assert differ[40:45].all()


@pytest.mark.slow
def test_every_method_keeps_exactly_the_weights_asked_for(results):
    total = lpjax.total(results[0].ticket.mask)
    levels = {1.0: total}
    count = total
    for density, fraction in zip(char_lm.DENSITIES, char_lm.PRUNE_FRACTIONS, strict=True):
        count -= round(fraction * count)
        levels[density] = count
        assert count == pytest.approx(density * total, abs=1)
    for result in results:
        wanted = round(result.density * total) if result.method in ("RigL", "GMP") else levels[result.density]
        assert int(lpjax.kept(result.ticket.mask)) == wanted, result.method
        lpjax.assert_on_mask(result.ticket.params, result.ticket.mask)
    methods = [(result.method, result.density) for result in results]
    assert len(set(methods)) == len(methods) == 2 + 3 + 3 + 3 + 4


@pytest.mark.slow
def test_training_donates_its_start_and_lowers_the_loss(problem):
    params = problem.init(1)
    before = problem.test_loss(params)
    optimizer = lpjax.fixed_mask(problem.optimizer(), lpjax.full_mask(params))
    ticket, early = problem.train(optimizer, params, 1, "fixed mask")
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(params))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((ticket, early)))
    assert problem.test_loss(ticket.params) < problem.test_loss(early) < before


@pytest.mark.slow
def test_a_pool_is_no_worse_than_its_anchor_on_validation(problem, results):
    loss = jax.jit(problem.loss)

    def value(method, density):
        (found,) = (result.ticket for result in results if (result.method, result.density) == (method, density))
        return loss(found.params, problem.validation)

    for density in char_lm.DENSITIES:
        assert value("pool of IMP", density) <= value("IMP", density) + 1e-5


@pytest.mark.slow
def test_results_that_exist_are_not_computed_again(problem, results, tmp_path, monkeypatch):
    groups = {"RigL": lambda *_: results[:1], "GMP": lambda *_: results[1:2], "dense": lambda *_: results[2:]}
    monkeypatch.setattr(char_lm, "GROUPS", groups)
    path = tmp_path / "run" / "results.csv"
    first = char_lm.run(problem, [0], path)
    monkeypatch.setattr(char_lm, "GROUPS", dict.fromkeys(groups))
    assert char_lm.run(problem, [0], path) == first == char_lm.read(path)
    assert (path.parent / "environment.json").exists()


def test_the_table_has_mean_and_deviation_of_each_method_and_density():
    row = {"method": "dense", "density": 1.0, "trainings": 1}
    rows = [row | {"bits": bits} for bits in (2.0, 2.5, 3.0)]
    for trainings, density in ((2, 0.5), (3, 0.2)):
        rows.append({"method": "IMP", "density": density, "trainings": trainings, "bits": 4.0})
    lines = char_lm.table(rows).splitlines()
    assert "| dense | 1 | 2.500 ± 0.500 |  |  |  |" in lines
    assert "| IMP | 2, 3 |  | 4.000 | 4.000 |  |" in lines


@pytest.mark.parametrize("argv", [["--steps", "3"], ["--seeds", "one"], ["--out"]])
def test_a_mistake_on_the_command_line_ends_with_exit_code_2(argv):
    with pytest.raises(SystemExit) as stopped:
        char_lm.main(argv)
    assert stopped.value.code == 2
