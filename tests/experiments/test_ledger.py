"""What the files say follows from the tables that are kept beside the experiments."""

import numpy as np
import pandas as pd
import pytest

from experiments import claims, ledger, pages
from experiments.options import ROOT

SEEDS = (0, 1, 2)


@pytest.mark.parametrize(("page", "preset"), pages.kept())
def test_a_page_says_what_its_tables_say(page, preset):
    said, _ = pages.shown(page, preset)
    assert said == pages.described(page, preset)


def test_readme_configs_and_the_ledger_say_what_the_tables_say():
    different = []
    for path, text in ledger.written().items():
        if path.read_text(encoding="utf-8") != text:
            different.append(str(path.relative_to(ROOT)))
    assert not different, "run python -m experiments.ledger"


def test_every_page_of_a_paper_with_tables_is_described():
    folders = set()
    for table in (ROOT / "experiments").glob("*/*/*/*.csv"):
        folders.add(table.parent.parent.relative_to(ROOT / "experiments").as_posix())
    assert folders <= set(pages.PAGES)


def test_every_claim_is_of_a_page_that_is_described():
    assert {claim.page for claim in claims.CLAIMS} <= set(pages.PAGES)
    assert len({claim.text for claim in claims.CLAIMS}) == len(claims.CLAIMS)


def statistics(low, high, *, method="interpolation", base="ticket"):
    row = {"method": method, "base": base, "level": np.nan, "seeds": 5, "difference": (low + high) / 2, "std": 0.001}
    return pd.DataFrame([row | {"low": low, "high": high, "panel": "digits"}, row | {"level": 0}])


@pytest.mark.parametrize(
    ("low", "high", "better", "alike"),
    [
        (0.001, 0.003, "held", "held"),
        (-0.001, 0.003, "undecided", "held"),
        (-0.003, -0.001, "not held", "not held"),
    ],
)
def test_a_claim_holds_if_its_interval_is_on_its_side_of_zero(low, high, better, alike):
    kept = {"statistics": statistics(low, high)}
    (above,) = claims.difference("ticket", "interpolation")(kept)
    (matches,) = claims.difference("ticket", "interpolation", matches=True)(kept)
    assert (above.verdict, matches.verdict) == (better, alike)
    assert above.interval == f"{100 * low:+.2f} to {100 * high:+.2f}"
    assert (above.on, above.seeds) == ("digits", 5)


def test_with_few_seeds_a_claim_needs_students_interval_too():
    kept = {"statistics": statistics(0.001, 0.003).assign(seeds=3)}
    (finding,) = claims.difference("ticket", "interpolation")(kept)
    reach = 0.1 * 4.302653 / 3**0.5  # of a standard deviation of 0.1 points
    assert finding.interval == f"{0.2 - reach:+.2f} to {0.2 + reach:+.2f}"
    assert finding.verdict == "undecided"


def test_many_candidates_are_compared_with_the_fewest():
    few = [statistics(0.1 / n, 0.2 / n, base=f"candidates_{n}") for n in (10, 2, 4)]
    (finding,) = claims.difference("candidates_")({"statistics": pd.concat(few)})
    assert finding.interval == "+5.00 to +10.00"


def gains(setting, near, far):
    rows = []
    for seed in SEEDS:
        for distance, gain in ((1, near), (2, far), (3, far)):
            rows.append({"panel": "digits", "setting": setting, "seed": seed, "distance": distance, "gain": gain})
    return pd.DataFrame(rows)


def test_pairs_are_averaged_within_a_seed_and_settings_are_compared():
    both = [gains("with rewinding", 0.01, -0.02), gains("without rewinding", 0.004, -0.02)]
    kept = {"gains": pd.concat(both)}
    assert [finding.measured for finding in claims.neighbors_gain(kept)] == ["+1.00 ± 0.00 points"]
    assert [finding.measured for finding in claims.distance_costs(kept)] == ["+3.00 ± 0.00 points"]
    assert [finding.measured for finding in claims.rewinding_helps_averages(kept)] == ["+0.60 ± 0.00 points"]
    assert claims.rewinding_helps_averages({"gains": both[0]}) == []


def test_comparisons_of_a_network_are_counted_and_averaged():
    rows = pd.DataFrame({"network": "tiny", "difference": [0.01, 0.02, -0.006], "seeds": [5, 5, 4]})
    rows = rows.assign(method="rigl", low=rows["difference"] - 0.01, high=rows["difference"] + 0.01)
    (finding,) = claims.differences_in("pairs")({"pairs": rows})
    assert finding[:3] == ("tiny", 4, "above in 2 of 3, mean +0.80 points")
    assert finding.verdict == "undecided"
    (lower,) = claims.differences_in("pairs", -1)({"pairs": rows.assign(difference=[-0.01, -0.02, -0.015])})
    assert lower.verdict == "held"
    (few,) = claims.differences_in("pairs")({"pairs": rows[:2]})
    assert (few.interval, few.verdict) == ("", "undecided")


def test_fewer_than_three_comparisons_are_decided_by_their_own_intervals():
    rows = pd.DataFrame({"network": "tiny", "method": "rigl", "difference": [-0.05, -0.09], "seeds": 5})
    for high, verdict in ((-0.01, "not held"), (0.01, "undecided")):
        (finding,) = claims.differences_in("pairs")({"pairs": rows.assign(low=-0.1, high=high)})
        assert finding.verdict == verdict


def test_variants_that_the_paper_does_not_clearly_have_are_not_counted():
    rows = pd.DataFrame({"network": "tiny", "method": ["snip", "snip, exploring"], "difference": [0.01, -0.2]})
    (finding,) = claims.differences_in("pairs")({"pairs": rows.assign(seeds=5, low=-0.1, high=0.1)})
    assert finding.measured == "above in 1 of 1, mean +1.00 points"


@pytest.mark.parametrize(
    ("low", "high", "best", "verdict"),
    [
        (-0.02, -0.01, "best in 2 of 2, surely in 2", "held"),
        (-0.02, 0.01, "best in 2 of 2, surely in 1", "undecided"),
        (0.01, 0.02, "best in 1 of 2, surely in 1", "not held"),
    ],
)
def test_a_choice_is_the_best_if_its_intervals_say_so(low, high, best, verdict):
    own = {"shape": "triangle", "difference": 0.0, "low": 0.0, "high": 0.0}
    other = {"shape": "swa", "difference": -0.02, "low": -0.03, "high": -0.01}
    second = other | {"difference": (low + high) / 2, "low": low, "high": high}
    rows = [own | {"sparsity": 0.9}, other | {"sparsity": 0.9}, own | {"sparsity": 0.8}, second | {"sparsity": 0.8}]
    table = pd.DataFrame(rows).assign(network="tiny", method="rigl", seeds=5)
    (finding,) = claims.is_always_best("shape", "triangle")({"pairs": table})
    assert (finding.measured, finding.verdict) == (best, verdict)


def test_the_paragraph_of_a_config_is_replaced_and_nothing_else():
    text = '"""A network.\n\nPaper: none.\nOurs: not\n  yet.\n\nMore.\n"""\nOurs = 1\n'
    assert ledger.with_ours(text, "Ours: 0.9.") == '"""A network.\n\nPaper: none.\nOurs: 0.9.\n\nMore.\n"""\nOurs = 1\n'
    with pytest.raises(ValueError, match="no paragraph"):
        ledger.with_ours('"""A network."""', "Ours: 0.9.")
