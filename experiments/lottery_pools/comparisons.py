"""The figures that show accuracy against density: methods compared image by image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.keeping import write
from experiments.lottery_pools.runs import (
    Run,
    all_tickets,
    beside,
    published_name,
    published_search,
    search_images,
)
from experiments.options import Options
from lpjax.report import paired, panels, style
from lpjax.run import Setup, run_stages
from lpjax.run.connectivity import ensembles_stage, nearest_members
from lpjax.run.pools import Search

CONTROL = "recalibrated"
AVERAGES = ("swa", "ema_decay", "ema_newest")
COEFFICIENTS = {
    "coefficients_1": (0.5,),
    "coefficients_3": (0.05, 0.5, 0.95),
    "coefficients_7": (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95),
}
MEMBERS = 3
ENSEMBLES = {"ensemble_logits": "logits", "ensemble_probabilities": "probabilities"}


def figure3a(options: Options) -> None:
    """Figure 3a: tickets against their pools, interpolated and averaged."""
    pools = ("interpolation", "average")
    searches = {method: Search(method) for method in pools}
    comparison(options, "figure3a", all_tickets(options), searches, questions=[pools])


def figure3b(options: Options) -> None:
    """Figure 3b: pools against weight averaging without selection, SWA and EMA."""
    searches = {method: Search(method) for method in ("interpolation", *AVERAGES)}
    questions = [("interpolation", other) for other in AVERAGES]
    comparison(options, "figure3b", all_tickets(options), searches, questions=questions)


def figure4(options: Options) -> None:
    """Figure 4: pools of few candidates and of many."""
    runs = all_tickets(options)
    everything = published_name(runs, f"candidates_{runs[0].levels - 1}")
    fewer: list[str] = []
    for run in runs:
        searches = {f"candidates_{n}": published_search(candidates=n) for n in counts(run.levels)}
        fewer += [name for name in searches if name not in fewer]
        run.build(searches | {everything: published_search()})
    questions = [(everything, few) for few in fewer]
    labels = {everything: "pool of all candidates"}
    comparison(options, "figure4", runs, {}, others=(*fewer, everything), questions=questions, labels=labels)


def counts(levels: int) -> list[int]:
    """Choose how many candidates to try of so many tickets: a sixth and four ninths, as the paper's 3 and 8 of 18."""
    everything = levels - 1
    return sorted({max(1, round(everything / 6)), max(1, round(everything * 4 / 9))} - {everything})


def figure5(options: Options) -> None:
    """Figure 5: pools that choose among few coefficients and among many."""
    runs = all_tickets(options)
    eleven = published_name(runs, "coefficients_11")
    searches = {name: published_search(coefficients=chosen) for name, chosen in COEFFICIENTS.items()}
    searches[eleven] = published_search()
    questions = [(eleven, few) for few in COEFFICIENTS]
    labels = {eleven: "pool (11 coefficients)", "coefficients_1": "pool (1 coefficient)"}
    comparison(options, "figure5", runs, searches, questions=questions, labels=labels)


def figure6(options: Options) -> None:
    """Figure 6: pruning every mix of the search, or once after it."""
    runs = all_tickets(options)
    during = published_name(runs, "prune_during")
    searches = {during: published_search(), "prune_after": published_search(prune="after")}
    labels = {during: "pool (pruned during)"}
    comparison(options, "figure6", runs, searches, questions=[(during, "prune_after")], labels=labels)


def figure7(options: Options) -> None:
    """Figure 7: a pool of three against the output ensemble of the same three tickets."""
    runs = all_tickets(options)
    for run in runs:
        members = nearest_members(range(run.levels), MEMBERS)
        stages = [ensembles_stage(run.workdir, seed, ENSEMBLES, members) for seed in run.seeds]
        run_stages(run.setup, run.workdir, stages)
    pool = f"interpolation_of_{MEMBERS}"
    searches = {pool: Search("interpolation", candidates=MEMBERS - 1)}
    questions = [(pool, ensemble) for ensemble in ENSEMBLES]
    comparison(options, "figure7", runs, searches, others=tuple(ENSEMBLES), questions=questions)


def controls(options: Options) -> None:
    """Controls: what else the computation of a pool buys, and what needs more of it."""
    runs = all_tickets(options)
    elsewhere = []
    ensembles = {"ensemble_logits": ENSEMBLES["ensemble_logits"]}
    for run, panel in zip(runs, options.panels, strict=True):
        found = {
            "longer": beside(options, panel, "longer", _longer_training(run.setup)),
            "lrr": beside(options, panel, "final", {"imp.rewind": "final"}),
        }
        elsewhere.append({name: other for name, other in found.items() if other})
        members = nearest_members(range(run.levels), MEMBERS)
        run_stages(
            run.setup, run.workdir, [ensembles_stage(run.workdir, seed, ensembles, members) for seed in run.seeds]
        )
        if len(run.seeds) > 1:
            run.build({"other_seeds": Search("interpolation", seeds=run.seeds)})
    others = [*ensembles]
    if all(len(run.seeds) > 1 for run in runs):
        others.append("other_seeds")
    rivals = dict.fromkeys([name for found in elsewhere for name in found] + others)
    labels = {
        "longer": "ticket, trained longer",
        "lrr": "learning-rate rewinding",
        "other_seeds": "pool of other seeds",
    }
    comparison(
        options,
        "controls",
        runs,
        {"interpolation": Search("interpolation")},
        others=others,
        elsewhere=elsewhere,
        questions=[("interpolation", rival) for rival in rivals],
        labels=labels,
    )


def _longer_training(setup: Setup) -> dict[str, Any]:
    """Return the settings of a training that is longer by the cost of a search; milestones keep their shares of it."""
    settings = setup.config.train
    before = setup.steps(settings.duration)
    after = before + steps_worth_a_search(setup)
    changes: dict[str, Any] = {"train.duration": f"{after}it"}
    if settings.schedule == "step":
        milestones = [setup.steps(milestone) * after // before for milestone in settings.milestones]
        changes["train.milestones"] = tuple(f"{milestone}it" for milestone in milestones)
    return changes


def steps_worth_a_search(setup: Setup) -> int:
    """Count the training steps, in whole epochs, that cost as much as the search around one ticket.

    A step sends its images through the network three times: the backward pass costs two forward passes.
    """
    candidates = setup.config.pool.candidates or setup.config.imp.levels - 1
    epochs = candidates * search_images(setup) / (3 * setup.data.size)
    return math.ceil(epochs) * setup.steps_per_epoch


def comparison(
    options: Options,
    name: str,
    runs: Sequence[Run],
    searches: Mapping[str, Search],
    *,
    others: Sequence[str] = (),
    elsewhere: Sequence[Mapping[str, Run]] = (),
    questions: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw accuracy against density for several methods, and compare them image by image.

    Every method is compared with the tickets and, since pools are recalibrated and plain tickets are not, with the
    recalibrated tickets.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      runs: One per panel.
      searches: Pools to build and to draw, by name.
      others: Further methods to draw, which are evaluated already.
      elsewhere: Further runs, per panel, whose tickets are drawn under the names that are given here.
      questions: Further pairs to compare, the first less the second.
      labels: Names in the legend, by method, instead of their own.
    """
    merged = (*searches, *others, *dict.fromkeys(name for found in elsewhere for name in found))
    pairs = [(CONTROL, "ticket")]
    for base in ("ticket", CONTROL):
        pairs += [(method, base) for method in merged]
    pairs += questions
    statistics, measured, curves = [], [], []
    for run, found in zip(runs, elsewhere or [{}] * len(runs), strict=True):
        run.build({CONTROL: Search(CONTROL), **searches})
        measured_here = (CONTROL, *searches, *others)
        results = run.results(measured_here)
        right = run.right([method for method in measured_here if method in set(results["method"])])
        for method, other in found.items():
            results = pd.concat([results, other.results(()).assign(method=method)])
            for (_, seed, level), answers in other.right(()).items():
                right[method, seed, level] = answers
        there = set(results["method"])
        compared = [paired.compare(results, right, *pair) for pair in pairs if there >= set(pair)]
        for pair in compared:
            statistics.append(_named(paired.frame(pair), labels or {}).assign(panel=run.title))
        measured.append(results.assign(panel=run.title))
        curves.append((run.title, results))
    figure = panels.panels(curves, ("ticket", *merged), dense=True, labels=labels)
    tables = {"results": pd.concat(measured), "statistics": pd.concat(statistics)}
    write(options, name, {"accuracy": figure}, tables, describe)


def _named(statistics: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Add how the method and its base are called in tables for people."""
    names = {}
    for column in ("method", "base"):
        names[f"{column}_name"] = [labels.get(method, style.look(method).name) for method in statistics[column]]
    return statistics.assign(**names)


def describe(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the comparisons of every panel, means over levels."""
    del preset
    parts = []
    for title, rows in tables["statistics"].groupby("panel", sort=False):
        names = dict(zip(rows["method"], rows["method_name"], strict=True))
        names |= dict(zip(rows["base"], rows["base_name"], strict=True))
        compared = []
        for _, pair in rows.groupby(["method", "base"], sort=False):
            compared.append(paired.from_frame(pair))
        parts.append(f"**{title}**\n\n{paired.markdown(compared, names)}")
    return "\n\n".join(parts)
