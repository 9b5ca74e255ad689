import pytest

from lpjax import store
from lpjax.store import Result, paths

TOTAL = 1000
KEPT = (1000, 800, 640)
TICKETS = {0: (0.70, 0.60, 0.50), 1: (0.72, 0.62, 0.52)}
GAINS = {
    "ticket": {0: (0, 0, 0), 1: (0, 0, 0)},
    "recalibrated": {0: (0.005,) * 3, 1: (0.005,) * 3},
    "interpolation": {0: (0.02, 0.01, 0.03), 1: (0.04, 0.03, 0.05)},
    "swa": {0: (-0.01, -0.02, -0.03), 1: (-0.01, -0.02, -0.03)},
}
FLATTERY = {"ticket": 0.01, "recalibrated": 0.01, "interpolation": 0.02, "swa": 0}


def measurements(seeds, methods):
    for seed in seeds:
        for method in methods:
            for level, (ticket, gain) in enumerate(zip(TICKETS[seed], GAINS[method][seed], strict=True)):
                subject = (seed, level, KEPT[level], TOTAL, KEPT[level] / TOTAL, method)
                yield Result(*subject, "test", "accuracy", ticket + gain)
                yield Result(*subject, "validation", "accuracy", ticket + gain + FLATTERY[method])
                yield Result(*subject, "test", "nll", 1.25 - gain)
                yield Result(*subject, "test", "ece", 0.125)


def train_level(workdir, seed, level):
    directory = paths.level(workdir, seed, level)
    for epoch, value in enumerate((0.3, 0.6, 0.5), start=1):
        store.append_jsonl(paths.metrics(directory), {"epoch": float(epoch), "validation_accuracy": value})
    store.write_json(paths.summary(directory), {"level": level, "epoch": 2.0})


def build_pool(workdir, seed, method, anchor):
    """Accepts the newcomer of the next level at 0.25, and rejects all others."""
    trials = [
        {"newcomer": level, "coefficient": 0.25, "value": 0.5, "accepted": level == anchor + 1}
        for level in range(len(KEPT))
        if level != anchor and method != "recalibrated"
    ]
    directory = paths.pool(workdir, seed, method, anchor)
    store.write_json(paths.trace(directory), {"seed": seed, "anchor": anchor, "start": 0.5, "trials": trials})
    store.write_json(paths.summary(directory), {"accepted": 1})


@pytest.fixture(scope="session")
def build():
    """Makes a work directory of three levels with numbers that are easy to check by hand."""

    def build(workdir, seeds=(0, 1), methods=("recalibrated", "interpolation", "swa")):
        config = {
            "dataset": "digits",
            "model": "resnet8",
            "seeds": list(seeds),
            "imp": {"levels": len(KEPT), "prune_fraction": 0.2, "rewind": "1ep"},
            "pool": {"methods": list(methods)},
        }
        store.write_json(paths.config(workdir), config)
        store.write_json(paths.environment(workdir), {"jax": "0.0.1", "devices": {"cpu cpu": 2}, "commit": None})
        store.write_results(paths.results(workdir), measurements(seeds, ("ticket", *methods)))
        for seed in seeds:
            for level in range(len(KEPT)):
                train_level(workdir, seed, level)
                for method in methods:
                    build_pool(workdir, seed, method, level)
        return workdir

    return build


@pytest.fixture
def crowded():
    return _crowded


def _crowded(figure):
    """What leaves the page, in inches, and tick labels that touch the one before."""
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    found = [edge for edge in (-box.x0, -box.y0, box.x1 - width, box.y1 - height) if edge > 0]
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        labels = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        labels = [label for label in labels if label.get_text() and label.get_visible()]
        boxes = [label.get_window_extent() for label in labels]
        found += [b.get_text() for a, b, after in zip(boxes, labels[1:], boxes[1:], strict=False) if a.overlaps(after)]
    return found
