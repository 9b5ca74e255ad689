"""A network of a finished run is loaded with one call."""

import numpy as np
import pytest

from lpjax import run, store
from lpjax.errors import UserError
from lpjax.store import paths

pytestmark = pytest.mark.slow  # needs the finished run


@pytest.mark.parametrize("pool", ["", "interpolation"])
def test_it_predicts_as_it_was_evaluated(finished, pool):
    network = run.load(finished, level=1, pool=pool)
    test = network.setup.data.test
    right = np.argmax(network.predict(test.images), -1) == np.asarray(test.labels)
    directory = paths.pool(finished, 0, pool, 1) if pool else paths.level(finished, 0, 1)
    assert right.mean() == pytest.approx(store.read_json(paths.evaluation(directory))["test"]["accuracy"])


@pytest.mark.parametrize("where", [{"seed": 7}, {"level": 9}, {"pool": "swa"}])
def test_what_is_not_there_is_refused(finished, where):
    with pytest.raises(UserError):
        run.load(finished, **where)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError):
        run.load(tmp_path)
