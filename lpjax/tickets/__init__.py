"""Finding tickets: iterative magnitude pruning with rewinding."""

from lpjax.tickets.counts import RULES, CountRule, openlth_rule, torch_rule
from lpjax.tickets.imp import IMP, SCOPES, SCORES, IMPState, Score, Trained, imp
from lpjax.tickets.rewind import FINAL, rewind_duration, rewinds_weights

__all__ = [
    "FINAL",
    "IMP",
    "RULES",
    "SCOPES",
    "SCORES",
    "CountRule",
    "IMPState",
    "Score",
    "Trained",
    "imp",
    "openlth_rule",
    "rewind_duration",
    "rewinds_weights",
    "torch_rule",
]
