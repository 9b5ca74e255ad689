"""What making corrupted images costs: images a second of every corruption, over its five severities.

Command: python -m experiments.benchmarks.corruptions --images=1000
"""

import os
import sys
import time

import numpy as np
from scipy import ndimage

from experiments.benchmarks.inputs import parser
from lpjax.data.corrupt import corrupt
from lpjax.data.effects.table import SEVERITIES, TABLE


def main(argv: list[str]) -> None:
    """Print one row per corruption, and all together."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=1000)
    arguments.add_argument("--side", type=int, default=32, help="image height and width")
    options = arguments.parse_args(argv)

    noise = np.random.default_rng(0).random((options.images, options.side, options.side, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3, 0), mode="wrap")
    images = np.clip(128 + 1500 * (smooth - 0.5), 0, 255).astype(np.uint8)
    print(f"{options.images} images of {options.side}x{options.side}x3, {os.cpu_count()} cores, numpy {np.__version__}")
    print(f"{'corruption':>17} {'images/s':>9}")
    total = 0.0
    for name in TABLE:
        corrupt(images[:1], name, 1)
        start = time.perf_counter()
        for severity in SEVERITIES:
            corrupt(images, name, severity)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:>17} {len(SEVERITIES) * options.images / seconds:9.0f}")
    print(f"{'all':>17} {len(TABLE) * len(SEVERITIES) * options.images / total:9.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
