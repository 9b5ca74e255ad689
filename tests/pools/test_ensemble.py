"""Networks that vote."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lpjax.pools import VOTES, ensemble

LOGITS = arrays(np.float32, (3, 5, 4), elements=st.floats(-20, 20, width=32))


@pytest.mark.slow
@pytest.mark.parametrize("votes", VOTES)
@given(LOGITS)
def test_an_ensemble_of_one_predicts_what_its_member_does(votes, logits):
    alone = jax.nn.softmax(ensemble(jnp.asarray(logits[:1]), votes))
    np.testing.assert_allclose(alone, jax.nn.softmax(jnp.asarray(logits[0])), atol=1e-5)


@pytest.mark.parametrize("votes", VOTES)
@given(LOGITS)
def test_the_order_of_the_members_does_not_matter(votes, logits):
    there, back = (ensemble(jnp.asarray(given), votes) for given in (logits, logits[::-1]))
    np.testing.assert_allclose(there, back, rtol=1e-4, atol=1e-4)


@given(LOGITS)
def test_votes_of_probabilities_are_the_mean_softmax_and_sum_to_one(logits):
    probabilities = np.exp(ensemble(jnp.asarray(logits), "probabilities"))
    np.testing.assert_allclose(probabilities, jax.nn.softmax(jnp.asarray(logits)).mean(0), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-4)


def test_one_loud_network_outvotes_two_by_logits_but_not_by_probabilities():
    logits = jnp.array([[[9.0, 0.0]], [[0.0, 2.0]], [[0.0, 2.0]]])
    assert int(jnp.argmax(ensemble(logits, "logits"))) == 0
    assert int(jnp.argmax(ensemble(logits, "probabilities"))) == 1


def test_bad_input_is_refused_by_field():
    with pytest.raises(ValueError, match="did you mean 'logits'"):
        ensemble(jnp.zeros((2, 3, 4)), "logit")
    for shape in ((3, 4), (0, 3, 4)):
        with pytest.raises(ValueError, match=r"wanted \[networks, images, classes\]"):
            ensemble(jnp.zeros(shape))
