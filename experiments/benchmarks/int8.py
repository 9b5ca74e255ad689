"""A ticket in OpenVINO: float32 and int8, without and with decompression of sparse weights, against ONNX Runtime.

One thread. int8 is calibrated on validation images; accuracy is on test images. Needs `pip install openvino nncf`.

Command: python -m experiments.benchmarks.int8 --workdir=runs/demo --levels 0 9
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import onnxruntime
import openvino

from experiments import markdown
from experiments.benchmarks.inputs import accuracy, machine, parser
from experiments.benchmarks.timing import medians
from experiments.keeping import replace_between
from lpjax import run, sparsity
from lpjax.store import paths

FOLDER = Path(__file__).parent
ONE_THREAD = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
SPARSE = {**ONE_THREAD, "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": 0.8}
CALIBRATION = 300
BATCHES = (1, 64)
HEADS = ("density", "images", "way", "ms", "test accuracy")
Way = Callable[[np.ndarray], np.ndarray]


def main(argv: list[str]) -> None:
    """Print a row per network, batch size and way; with `--keep`, write them into `deployment.md`."""
    arguments = parser(__doc__)
    arguments.add_argument("--workdir", type=Path, required=True, help="of a run with tickets")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--levels", nargs="+", type=int, default=[0, 9])
    arguments.add_argument("--rounds", type=int, default=100, help="calls of each")
    arguments.add_argument("--keep", action="store_true", help="write the table into deployment.md")
    options = arguments.parse_args(argv)
    lines = []
    for level in options.levels:
        network = run.load(options.workdir, options.seed, level)
        data = network.setup.data
        density = sparsity.density(network.ticket.mask, network.setup.network.prunable)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ticket.onnx"
            run.export(paths.level(options.workdir, options.seed, level), path)
            ways = compile_all(path, np.asarray(data.validation.images[:CALIBRATION]))
            test = np.asarray(data.test.images)
            accuracies = {name: accuracy(way, data.test._replace(images=test)) for name, way in ways.items()}
            for batch in BATCHES:
                calls = {name: _call(way, test[:batch]) for name, way in ways.items()}
                for name, seconds in medians(calls, options.rounds).items():
                    lines.append(
                        [f"{density:.3f}", str(batch), name, f"{1000 * seconds:.2f}", f"{accuracies[name]:.4f}"]
                    )
    where = (
        f"Medians of {options.rounds} calls, one thread, {machine()}, ONNX Runtime {onnxruntime.__version__}, OpenVINO "
        f"{openvino.__version__.partition('-')[0]}, NNCF {nncf.__version__}."
    )
    text = f"{markdown.table(HEADS, lines)}\n\n{where}"
    if options.keep:
        replace_between(FOLDER / "deployment.md", "int8", text)
    print(text)


def compile_all(path: Path, calibration: np.ndarray) -> dict[str, Way]:
    """Compile an ONNX file every way; of each, images uint8 `[B, H, W, C]` to logits."""
    core = openvino.Core()
    model = core.read_model(path)
    dataset = nncf.Dataset([image[None] for image in calibration])
    int8 = nncf.quantize(model, dataset, subset_size=len(calibration))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    ways: dict[str, Way] = {"ONNX Runtime": lambda images: session.run(["logits"], {"images": images})[0]}
    compiled = {
        "OpenVINO": core.compile_model(model, "CPU", ONE_THREAD),
        "OpenVINO, sparse weights": core.compile_model(model, "CPU", SPARSE),
        "OpenVINO int8": core.compile_model(int8, "CPU", ONE_THREAD),
        "OpenVINO int8, sparse weights": core.compile_model(int8, "CPU", SPARSE),
    }
    for name, network in compiled.items():
        ways[name] = _outputs(network)
    return ways


def _outputs(network: Any) -> Way:
    return lambda images: network(images)[0]


def _call(way: Way, images: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: way(images)


if __name__ == "__main__":
    main(sys.argv[1:])
