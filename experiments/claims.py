"""What the papers claim, and what the kept tables say of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from experiments import markdown
from lpjax.metrics import mean_interval

Tables = Mapping[str, pd.DataFrame]

HELD, NOT_HELD, UNDECIDED = "held", "not held", "undecided"
_EXPLORING = ", exploring"
_ENOUGH_SEEDS = 5
"""Below it, a bootstrap over seeds is too narrow, and Student's interval over seeds counts too."""
_ENOUGH_COMPARISONS = 3
"""Below it, there is no interval over comparisons, and each must be decided by its own."""
_MARGIN = 0.0025
"""A method that is below another by less accuracy matches it."""
_SAME = 0.1
"""Times or costs whose ratio differs from 1 by less are alike."""


class Finding(NamedTuple):
    """What was measured of a claim, on one network and data set."""

    on: str
    seeds: int
    measured: str
    interval: str  # 95 %, of the difference; empty where there is none
    verdict: str


class Claim(NamedTuple):
    """A claim of a paper."""

    text: str
    reported: str  # by the paper
    page: str  # a folder of experiments/, whose tables tell
    measure: Callable[[Tables], list[Finding]]


def difference(base: str, method: str = "", *, matches: bool = False) -> Callable[[Tables], list[Finding]]:
    """Measure a method less its base, the mean over levels; see `verdict`.

    Args:
      base: As the table of statistics has it; `'candidates_'` stands for the fewest candidates there.
      method: Likewise; any that is compared with the base if empty.
      matches: The claim is that it matches its base: it held if the interval lies above minus a quarter of a point.
    """

    def measure(tables: Tables) -> list[Finding]:
        overall = tables["statistics"][tables["statistics"]["level"].isna()]
        chosen = overall[overall["base"] == _fewest(overall, base)]
        if method:
            chosen = chosen[chosen["method"] == method]
        findings = []
        for row in chosen.itertuples():
            low, high = _with_students(row)
            measured = f"{markdown.points(row.difference, row.std)} points"
            decided = verdict(low, high)
            if matches and low > -_MARGIN:
                decided = HELD
            findings.append(Finding(row.panel, int(row.seeds), measured, markdown.interval(low, high), decided))
        return findings

    return measure


def _with_students(row: Any) -> tuple[float, float]:
    """Return the interval of a row of statistics; with few seeds, what it and Student's interval over seeds span."""
    if not 1 < row.seeds < _ENOUGH_SEEDS:
        return row.low, row.high
    reach = float(stats.t.ppf(0.975, row.seeds - 1)) * row.std / row.seeds**0.5
    return min(row.low, row.difference - reach), max(row.high, row.difference + reach)


def verdict(low: float, high: float) -> str:
    """Judge a claim that a difference is above zero by its interval; NaN is an interval that is not known.

    Example:
      >>> verdict(0.1, 0.2), verdict(-0.1, 0.2), verdict(-0.2, -0.1)
      ('held', 'undecided', 'not held')
    """
    if low > 0:
        return HELD
    return NOT_HELD if high < 0 else UNDECIDED


def _fewest(statistics: pd.DataFrame, base: str) -> str:
    if base != "candidates_":
        return base
    counts = [int(name.removeprefix(base)) for name in set(statistics["base"]) if name.startswith(base)]
    return f"{base}{min(counts)}"


def neighbors_gain(tables: Tables) -> list[Finding]:
    """Measure what averaging neighboring levels gains over the sparser one."""
    return [_over_seeds(panel, _gains(gains, "with rewinding")) for panel, gains in tables["gains"].groupby("panel")]


def distance_costs(tables: Tables) -> list[Finding]:
    """Measure how much more neighbors gain than levels further apart."""
    findings = []
    for panel, gains in tables["gains"].groupby("panel"):
        further = _gains(gains, "with rewinding", neighbors=False)
        findings.append(_over_seeds(panel, _gains(gains, "with rewinding") - further))
    return findings


def rewinding_helps_averages(tables: Tables) -> list[Finding]:
    """Measure how much more neighbors gain with rewinding than without."""
    findings = []
    for panel, gains in tables["gains"].groupby("panel"):
        if "without rewinding" in set(gains["setting"]):
            less = _gains(gains, "with rewinding") - _gains(gains, "without rewinding")
            findings.append(_over_seeds(panel, less))
    return findings


def rewinding_lowers_barriers(tables: Tables) -> list[Finding]:
    """Measure how much lower barriers are with rewinding than without."""
    findings = []
    for panel, heights in tables["barriers"].groupby("panel"):
        fresh = heights[heights["recalibrated"]].groupby(["setting", "seed"])["barrier"].mean().unstack("seed")
        if len(fresh) > 1:
            findings.append(_over_seeds(panel, fresh.loc["no rewinding"] - fresh.loc["rewinding"]))
    return findings


def _gains(gains: pd.DataFrame, setting: str, *, neighbors: bool = True) -> pd.Series:
    chosen = (gains["setting"] == setting) & ((gains["distance"] == 1) == neighbors)
    return gains[chosen].groupby("seed")["gain"].mean()


def corruptions_gain(tables: Tables) -> list[Finding]:
    """Measure what interpolation gains on corrupted images, mean over the benchmark's corruptions."""
    findings = []
    for panel, table in tables["benchmark"].groupby("panel"):
        values = table.pivot(index=["seed", "level"], columns="method", values="value")
        gain = values["interpolation"] - values["ticket"]
        findings.append(_over_seeds(panel, gain.groupby("seed").mean()))
    return findings


def inference_costs(tables: Tables) -> list[Finding]:
    """Measure what a pool takes at inference, of what a ticket takes."""
    findings = []
    for row in tables["costs"].itertuples():
        if row.method.startswith("pool"):
            decided = HELD if abs(row.ratio - 1) < _SAME else NOT_HELD
            findings.append(Finding(row.panel, 1, f"{row.ratio:.2f} of a ticket's time", "", decided))
    return findings


def differences_in(table: str, direction: int = 1, *, metric: str = "") -> Callable[[Tables], list[Finding]]:
    """Measure a table of comparisons, per network: in how many the network is above its base, and by how much in mean.

    The interval is Student's over the comparisons, from three on; fewer are decided where all their own intervals over
    seeds lie on one side of zero. Variants where fixed masks explore, which the paper does not clearly have, are left
    out.

    Args:
      table: Its name.
      direction: 1 if the network is claimed to be above its base, -1 if below.
      metric: Only rows of this metric, which is no accuracy.
    """

    def measure(tables: Tables) -> list[Finding]:
        rows = tables[table]
        rows = rows[~rows["method"].str.endswith(_EXPLORING)]
        if metric:
            rows = rows[rows["metric"] == metric]
        findings = []
        for network, group in rows.groupby("network", sort=False):
            differences = group["difference"].to_numpy()
            shown = np.nan, np.nan
            decisive = group["low"].min(), group["high"].max()
            if len(group) >= _ENOUGH_COMPARISONS:
                _, *shown = mean_interval(differences)
                decisive = shown
            low, high = decisive
            claimed = int((direction * differences > 0).sum())
            side = "above" if direction > 0 else "below"
            scale, unit = (1, "") if metric else (100, " points")
            measured = f"{side} in {claimed} of {len(group)}, mean {scale * differences.mean():+.2f}{unit}"
            decided = verdict(low, high) if direction > 0 else verdict(-high, -low)
            findings.append(
                Finding(network, int(group["seeds"].min()), measured, markdown.interval(*shown, scale), decided)
            )
        return findings

    return measure


def above_cheap_tickets(tables: Tables) -> list[Finding]:
    """Measure Sup-tickets less the mean of the cheap tickets that they superpose."""
    difference = tables["pairs"]["value"] - tables["pairs"]["cheap"]
    changed = tables["pairs"].assign(difference=difference, low=np.nan, high=np.nan)
    return differences_in("pairs")({"pairs": changed})


def same_training_flops(tables: Tables) -> list[Finding]:
    """Measure the training FLOPs with Sup-tickets, of those of the method alone."""
    findings = []
    costs = tables["costs"]
    for network, group in costs[costs["method"] != "dense"].groupby("network", sort=False):
        arms = group.pivot(index=["method", "sparsity"], columns="arm", values="training_flops")
        ratios = arms["with Sup-tickets"] / arms["alone"]
        measured = f"{ratios.min():.2f} to {ratios.max():.2f} of the method's alone"
        decided = HELD if ratios.max() < 1 + _SAME else NOT_HELD
        findings.append(Finding(network, int(group["seeds"].min()), measured, "", decided))
    return findings


def is_always_best(column: str, name: str) -> Callable[[Tables], list[Finding]]:
    """Measure how often a choice is the best by mean accuracy, and surely: above each other by its interval over seeds.

    The claim holds if it always is, surely; it does not if another choice is surely better.

    Args:
      column: Of the table `pairs`, what is chosen among; rows are compared with the row of `name`.
      name: What is claimed to be best.
    """

    def measure(tables: Tables) -> list[Finding]:
        findings = []
        for network, rows in tables["pairs"].groupby("network", sort=False):
            others = rows[~rows[column].isin((name, "base network"))]
            cases = [group for _, group in others.groupby(["method", "sparsity"])]
            best = sum(bool((group["difference"] < 0).all()) for group in cases)
            surely = sum(bool((group["high"] < 0).all()) for group in cases)
            decided = HELD if surely == len(cases) else UNDECIDED
            if (others["low"] > 0).any():
                decided = NOT_HELD
            measured = f"best in {best} of {len(cases)}, surely in {surely}"
            findings.append(Finding(network, int(rows["seeds"].min()), measured, "", decided))
        return findings

    return measure


def cheap_tickets_agree_more(tables: Tables) -> list[Finding]:
    """Measure how much less cheap tickets disagree than networks trained apart, as shares of the images."""
    findings = []
    for network, rows in tables["seeds"].groupby("network", sort=False):
        dense = rows[rows["method"] == "dense"]["disagreement"].mean()
        cheap = rows[rows["method"] != "dense"]["disagreement"].mean()
        measured = f"{cheap:.3f} of the images, dense networks {dense:.3f}"
        findings.append(
            Finding(network, int(rows["seed"].nunique()), measured, "", HELD if cheap < dense else NOT_HELD)
        )
    return findings


def _over_seeds(on: str, values: pd.Series) -> Finding:
    """Make a finding of one value per seed, accuracies as fractions."""
    seeds = values.to_numpy()
    mean, low, high = mean_interval(seeds)
    measured = f"{markdown.points(mean, np.std(seeds, ddof=1) if len(seeds) > 1 else None)} points"
    return Finding(str(on), len(seeds), measured, markdown.interval(low, high), verdict(low, high))


CLAIMS: Sequence[Claim] = (
    Claim(
        "Interpolation pools are above their tickets",
        "+0.58 to +1.27 points",
        "lottery_pools/figure3a",
        difference("ticket", "interpolation"),
    ),
    Claim(
        "(not in the paper) Interpolation pools are above recalibrated tickets",
        "not reported",
        "lottery_pools/figure3a",
        difference("recalibrated", "interpolation"),
    ),
    Claim(
        "(not in the paper) Interpolation pools are above tickets trained longer by the cost of the search",
        "not reported",
        "lottery_pools/controls",
        difference("longer", "interpolation"),
    ),
    Claim(
        "(not in the paper) Interpolation pools are above tickets of learning-rate rewinding",
        "not reported",
        "lottery_pools/controls",
        difference("lrr", "interpolation"),
    ),
    Claim(
        "(not in the paper) Pools of neighboring levels are above pools of other seeds",
        "not reported",
        "lottery_pools/controls",
        difference("other_seeds", "interpolation"),
    ),
    Claim(
        "Average pools are above their tickets",
        "+0.54 to +1.03 points",
        "lottery_pools/figure3a",
        difference("ticket", "average"),
    ),
    Claim(
        "Interpolation is above SWA",
        '"a large margin"',
        "lottery_pools/figure3b",
        difference("swa", "interpolation"),
    ),
    Claim(
        "Interpolation is above EMA (0.95 anchor)",
        '"a large margin"',
        "lottery_pools/figure3b",
        difference("ema_decay", "interpolation"),
    ),
    Claim(
        "Pools are more robust to corruptions",
        "up to +2.36 points",
        "lottery_pools/figure3c",
        corruptions_gain,
    ),
    Claim(
        "The average of neighbors is above the sparser one",
        "heat map",
        "lottery_pools/figure1",
        neighbors_gain,
    ),
    Claim(
        "Neighbors gain more than levels further apart",
        "heat map",
        "lottery_pools/figure1",
        distance_costs,
    ),
    Claim(
        "Averages need rewinding",
        "heat map",
        "lottery_pools/figure1",
        rewinding_helps_averages,
    ),
    Claim(
        "Rewinding lowers the barrier between neighbors",
        "curves",
        "lottery_pools/figure2",
        rewinding_lowers_barriers,
    ),
    Claim(
        "More candidates are better: all against the fewest",
        "curves",
        "lottery_pools/figure4",
        difference("candidates_"),
    ),
    Claim(
        "More coefficients are better: eleven against one",
        "curves",
        "lottery_pools/figure5",
        difference("coefficients_1"),
    ),
    Claim(
        "Pruning during the search is above pruning after it",
        "curves",
        "lottery_pools/figure6",
        difference("prune_after"),
    ),
    Claim(
        "A pool of three matches their output ensemble",
        "curves",
        "lottery_pools/figure7",
        difference("ensemble_logits", "interpolation_of_3", matches=True),
    ),
    Claim(
        "A pool costs what a ticket costs at inference",
        "O(1)",
        "lottery_pools/table1",
        inference_costs,
    ),
    Claim(
        "Sup-tickets are above the method alone",
        "63 of 66",
        "sup_tickets/table1",
        differences_in("pairs"),
    ),
    Claim(
        "(not in the paper) Masks left alone as long as those of cheap tickets are above the method alone",
        "not reported",
        "sup_tickets/settled",
        differences_in("masks"),
    ),
    Claim(
        "(not in the paper) Sup-tickets are above masks left alone as long",
        "not reported",
        "sup_tickets/settled",
        differences_in("tickets"),
    ),
    Claim(
        "Superposed tickets are above the mean of their cheap tickets",
        '"a large margin"',
        "sup_tickets/table1",
        above_cheap_tickets,
    ),
    Claim(
        "Sup-tickets cost no more to train",
        "no more",
        "sup_tickets/table3",
        same_training_flops,
    ),
    Claim(
        "GraNet with Sup-tickets is above the dense network",
        "15 of 18",
        "sup_tickets/table4",
        differences_in("pairs"),
    ),
    Claim(
        "The triangle is the best shape of the learning rate",
        "5 of 6",
        "sup_tickets/table7",
        is_always_best("shape", "triangle"),
    ),
    Claim(
        "CIA is the best average",
        "everywhere",
        "sup_tickets/figure3",
        is_always_best("average", "CIA"),
    ),
    Claim(
        "Sup-tickets lower the calibration error",
        "curves",
        "sup_tickets/figure5",
        differences_in("pairs", -1, metric="ece"),
    ),
    Claim(
        "Cheap tickets disagree less than dense networks",
        "0.015 against 0.032",
        "sup_tickets/table6",
        cheap_tickets_agree_more,
    ),
)
