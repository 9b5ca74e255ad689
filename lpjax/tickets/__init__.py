"""Finding tickets, by iterative magnitude pruning with rewinding, and shrinking them."""

from lpjax.tickets.counts import RULES, CountRule, openlth_rule, torch_rule
from lpjax.tickets.imp import IMP, SCOPES, IMPState, Score, by_magnitude, imp, random_score
from lpjax.tickets.rewind import FINAL, rewind_duration, rewinds_weights  # noqa: F401
from lpjax.tickets.shrink import Shrunk, shrink

__all__ = [
    "FINAL",
    "IMP",
    "RULES",
    "SCOPES",
    "CountRule",
    "IMPState",
    "Score",
    "Shrunk",
    "by_magnitude",
    "imp",
    "openlth_rule",
    "random_score",
    "shrink",
    "torch_rule",
]
