import io
import pickle

import numpy as np
import pytest

from lpjax.data.pickles import read_pickle


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_and_containers_are_read(protocol):
    value = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "name": "x", "pair": (None, 1.5)}
    read = read_pickle(io.BytesIO(pickle.dumps(value, protocol)))
    np.testing.assert_array_equal(read.pop("data"), value.pop("data"))
    assert read == value


@pytest.mark.parametrize("value", [eval, pickle.Unpickler, np.save, io.BytesIO])
def test_anything_else_is_refused(value):
    with pytest.raises(pickle.UnpicklingError, match=value.__name__):
        read_pickle(io.BytesIO(pickle.dumps(value)))
