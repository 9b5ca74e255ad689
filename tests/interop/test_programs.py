"""A network as an ONNX file or a program of `jax.export` computes what JAX computes, for any number of images."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from lpjax import models
from lpjax.errors import UserError
from lpjax.interop import onnx
from lpjax.interop.stablehlo import to_stablehlo
from tests.networks import one_convolution

IMAGE = (8, 8, 3)


@pytest.fixture(scope="module")
def predict():
    """A small network with BatchNorm and normalization of its images."""
    module = one_convolution(classes=4, width=4)
    variables = models.initialize(module, jax.random.key(0), IMAGE)
    apply = models.bind(module)

    def compute(images):
        return apply(variables, (images.astype(jnp.float32) / 255 - 0.4) / 0.2)[0]

    return compute


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (6, *IMAGE), dtype=np.uint8)


def test_a_program_of_jax_computes_the_same_bits(predict, images):
    program = export.deserialize(bytearray(to_stablehlo(predict, IMAGE)))
    expected = jax.jit(predict)(images)
    np.testing.assert_array_equal(program.call(images), expected)
    assert program.call(images[:1]).shape == (1, 4)
    assert set(program.platforms) >= {"cpu", "cuda", "tpu"}


@pytest.mark.slow  # jax2onnx imports all of its plugins
def test_an_onnx_file_computes_the_same_within_rounding(predict, images, capfd):
    converted = onnx.to_onnx(predict, IMAGE, properties={"lpjax": {"level": 3}})
    expected = np.asarray(jax.jit(predict)(images))
    for count in (1, 6):
        got = onnx.run_onnx(converted.content, images[:count])
        np.testing.assert_allclose(got, expected[:count], atol=1e-4 * np.abs(expected).max())
    assert 0 <= converted.difference < 1e-4 * converted.scale
    assert capfd.readouterr() == ("", "")

    import onnx as format_of_onnx

    model = format_of_onnx.load_from_string(converted.content)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["lpjax"]) == {"level": 3}
    assert model.opset_import[0].version == onnx.OPSET


@pytest.mark.slow  # as above
def test_a_file_that_computes_something_else_is_refused(predict):
    with pytest.raises(UserError, match="differ from JAX"):
        onnx.to_onnx(predict, IMAGE, reference=lambda images: predict(images) * 1.001)


@pytest.mark.slow  # as above
def test_a_network_that_cannot_be_converted_is_refused_in_one_line():
    def predict(images):
        return jnp.linalg.eigvals(images.astype(jnp.float32)[..., 0]).real

    with pytest.raises(UserError, match="cannot convert") as refused:
        onnx.to_onnx(predict, IMAGE)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named_with_its_extra(predict, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"lpjax\[onnx\]"):
        onnx.to_onnx(predict, IMAGE)
