from html.parser import HTMLParser

import pytest

from lpjax import store
from lpjax.store import Result, paths

VOID = {"img", "meta", "br"}
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
    """Accepts the candidate of the next level at 0.25, and rejects all others."""
    trials = [
        {"candidate": level, "coefficient": 0.25, "value": 0.5, "accepted": level == anchor + 1}
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


CYCLES, BEFORE, CYCLE, EPOCHS = 3, 14, 2, 20
STEPS = 10
SEEDS = {0: 0.70, 1: 0.72, 2: 0.71}
SPARSE = {
    "cheap": {0: (0.01, 0.02, 0.00), 1: (0.00, 0.02, 0.01), 2: (0.02, 0.00, 0.01)},
    "cia": {0: (0.01, 0.03, 0.04), 1: (0.00, 0.04, 0.05), 2: (0.02, 0.02, 0.03)},
    "cima": {0: (0.01, 0.02, 0.03), 1: (0.00, 0.03, 0.03), 2: (0.02, 0.01, 0.03)},
    "ensemble": {0: (0.01, 0.04, 0.05), 1: (0.00, 0.05, 0.06), 2: (0.02, 0.04, 0.05)},
}


def sparse_measurements():
    for seed, base in SEEDS.items():
        gains = {("ticket", 0): 0.0} | {
            ("ticket" if method == "cheap" else method, k): gain
            for method, values in SPARSE.items()
            for k, gain in enumerate(values[seed], start=1)
        }
        for (method, level), gain in gains.items():
            subject = (seed, level, 50, TOTAL, 0.05, method)
            yield Result(*subject, "test", "accuracy", base + gain)
            yield Result(*subject, "validation", "accuracy", base + gain + 0.01)
            yield Result(*subject, "test", "nll", 1.25 - gain)
            yield Result(*subject, "test", "ece", 0.125)


def train_arm(workdir, seed, level, first, last):
    """Records the epochs of a level, the milestones of the base network at 10 and 15, of the other arm at 7 and 10."""
    directory, milestones = paths.level(workdir, seed, level), (7, 10) if level else (10, 15)
    for epoch in range(first, last + 1):
        rate = 0.1 / 10 ** sum(epoch > milestone for milestone in milestones)
        if epoch > BEFORE and level:
            rate = 0.005 if epoch % CYCLE else 0.001
        line = {
            "epoch": float(epoch),
            "step": epoch * STEPS,
            "learning_rate": rate,
            "validation_accuracy": SEEDS[seed] - 0.4 / epoch - rate,
            "kept": 50,
            "density": 0.05,
            "explored": min(0.05 + 0.01 * epoch, 0.2) + 0.03 * level,
            "flops": 0.1 + 0.001 * epoch,
        }
        store.append_jsonl(paths.metrics(directory), line)
    costs = {"inference_flops": 0.12, "training_flops": 0.006 * last}
    summary = {"level": level, "kept": 50, "total": TOTAL, "density": 0.05, "epoch": float(last)} | costs
    store.write_json(paths.summary(directory), summary)
    store.write_json(paths.evaluation(directory), {})


@pytest.fixture(scope="session")
def build_sparse():
    """Makes a work directory of a sparse run: three seeds, each of a base network and of three cheap tickets."""

    def build(workdir):
        config = {
            "dataset": "digits",
            "model": "resnet8",
            "seeds": list(SEEDS),
            "train": {"duration": f"{EPOCHS}ep"},
            "sparse": {
                "method": "rigl", "density": 0.05, "every": "1000it", "drop_fraction": 0.5, "drop_schedule": "constant",
            },
            "superpose": {
                "averages": ["cia", "cima"], "share": 0.3, "cycle": f"{CYCLE}ep", "low": 0.001, "high": 0.005,
                "explore": "method", "drop_fraction": 0.5, "decay": 0.8, "prune": "step", "stats": "average",
                "first": "cycle", "base": True, "ensemble": True,
            },
        }  # fmt: skip
        store.write_json(paths.config(workdir), config)
        store.write_results(paths.results(workdir), sparse_measurements())
        for seed in SEEDS:
            train_arm(workdir, seed, 0, 1, EPOCHS)
            for k in range(1, CYCLES + 1):
                train_arm(workdir, seed, k, 1 if k == 1 else BEFORE + CYCLE * (k - 1) + 1, BEFORE + CYCLE * k)
                for method in ("cia", "cima", "ensemble"):
                    made = {"density": 0.05, "unpruned_density": 0.08, "inference_flops": 0.12}
                    made = {"density": 0.05, "inference_flops": 0.12 * k} if method == "ensemble" else made
                    directory = paths.pool(workdir, seed, method, k)
                    store.write_json(paths.summary(directory), {"kept": 50, "total": TOTAL} | made)
                    store.write_json(paths.evaluation(directory), {})
        return workdir

    return build


class Page(HTMLParser):
    """The page as a browser takes it: its words without tags, its tables cell by cell, its resources."""

    def __init__(self, path):
        super().__init__()
        self.open, self.words, self.rows, self.resources = [], [], [], []
        self.pictures = 0
        self.feed(path.read_text())
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())
        self.table = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag, attributes):
        self.resources += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)
        self.pictures += tag == "svg"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        """Takes an element of SVG that is closed at once."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="session")
def read_page():
    return Page


@pytest.fixture
def words_only(monkeypatch):
    """Draws no figures, which take most of the time."""
    monkeypatch.setattr("lpjax.report.page.figures.draw", lambda workdir, results, directory: {})


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
