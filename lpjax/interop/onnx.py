"""A network as an ONNX file, compared with JAX before it is handed over."""

import contextlib
import inspect
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.errors import UserError

OPSET = 21
TOLERANCE = 1e-4
_IMAGES = 5
_SHOWN = 200

Predict = Callable[[jax.Array], jax.Array]
"""Images uint8 `[B, H, W, C]` to logits `[B, classes]`."""


class Converted(NamedTuple):
    """An ONNX file that was compared with JAX.

    Attributes:
      content: Its bytes.
      difference: Largest absolute difference of logits on random images, ONNX Runtime against JAX.
      scale: Largest absolute logit of JAX on these images.
    """

    content: bytes
    difference: float
    scale: float


def to_onnx(
    predict: Predict,
    image: tuple[int, int, int],
    *,
    properties: Mapping[str, Any] | None = None,
    reference: Predict | None = None,
) -> Converted:
    """Convert a network to ONNX, run it by ONNX Runtime on random images, and compare with JAX.

    The file has one input, `images`, uint8 `[B, H, W, C]` for any `B`, and one output, `logits`, float32
    `[B, classes]`. What `predict` does to images, such as normalization, is in it.

    Args:
      predict: Images to logits; its weights become constants.
      image: `(H, W, C)`.
      properties: Written into the file's metadata: JSON values by name.
      reference: What to compare with; by default `predict`.

    Returns:
      The file, with the difference that was found.

    Raises:
      UserError: If a package is missing, the network cannot be converted, or logits differ by `1e-4` of the largest
        or more.

    References:
      https://github.com/enpasos/jax2onnx, https://onnxruntime.ai.
    """
    _require_packages()
    content = _convert(predict, image, properties or {})
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (_IMAGES, *image), dtype=np.uint8)
    expected = np.asarray(jax.jit(reference or predict)(jnp.asarray(images)), np.float32)
    try:
        got = run_onnx(content, images)
    except Exception as error:  # its types are not public
        raise UserError(
            f"onnx: ONNX Runtime cannot run this network ({_one_line(error)}); export to .stablehlo instead"
        ) from error
    scale = float(np.max(np.abs(expected)))
    difference = float(np.max(np.abs(got - expected)))
    if not difference < TOLERANCE * scale:
        raise UserError(
            f"onnx: logits differ from JAX by {difference:.3g} where the largest is {scale:.3g}, expected less than "
            f"{TOLERANCE:g} of it; export to .stablehlo instead"
        )
    return Converted(content, difference, scale)


def run_onnx(content: bytes, images: np.ndarray) -> np.ndarray:
    """Compute logits by ONNX Runtime on the CPU.

    Args:
      content: The bytes of the file.
      images: `[B, H, W, C]`, uint8.

    Returns:
      Logits `[B, classes]`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


def _convert(predict: Predict, image: tuple[int, int, int], properties: Mapping[str, Any]) -> bytes:
    import jax2onnx

    shape = jax.ShapeDtypeStruct(("B", *image), jnp.uint8)
    try:
        with _quiet():
            model = jax2onnx.to_onnx(
                inspect.unwrap(predict),  # some versions cannot convert a `jit` within
                inputs=[shape],
                model_name="lpjax",
                opset=OPSET,
                input_names=["images"],
                output_names=["logits"],
            )
    except Exception as error:  # whatever its parts say of a network that they do not know
        raise UserError(
            f"onnx: jax2onnx cannot convert this network ({_one_line(error)}); export to .stablehlo instead"
        ) from error
    del model.graph.value_info[:]  # shapes between layers, of which some are wrong; runtimes infer their own
    for name, value in properties.items():
        entry = model.metadata_props.add()
        entry.key = name
        entry.value = json.dumps(value)
    return model.SerializeToString()


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence jax2onnx, which prints layers and logs plugins for packages that are not used."""
    logger = logging.getLogger("jax2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
            jax.numpy_dtype_promotion("standard"),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _require_packages() -> None:
    try:
        with _quiet():
            import jax2onnx  # noqa: F401
            import onnxruntime  # noqa: F401
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise UserError(f'the package {package} is missing for ONNX; do: pip install "lpjax[onnx]"') from error
