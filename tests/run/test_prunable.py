"""Which leaves a run prunes, where its network has none of them."""

import pytest

from lpjax import run
from lpjax.errors import UserError
from lpjax.run.setup import prepare


@pytest.mark.parametrize("changes", [{"imp__prunable": "path:^nowhere"}, {"sparse__prunable": "path:^nowhere"}])
def test_a_choice_that_accepts_no_layer_is_refused_with_its_setting(tiny_config, changes):
    (field,) = changes
    if field.startswith("sparse"):
        changes = changes | {"sparse__method": "rigl"}
    with pytest.raises(UserError, match=field.replace("__", r"\.") + r": got 'path:\^nowhere'"):
        prepare(run.resolve(tiny_config(**changes)))
