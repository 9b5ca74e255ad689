"""What several tests of runs stand on: a schedule of sparse training, and a stand-in for progress."""

SPARSE_TIMING = {
    "train__duration": "6ep",
    "train__milestones": ("4ep",),
    "sparse__method": "rigl",
    "sparse__density": 0.2,
    "sparse__every": "2it",
    "sparse__prune_until": "2ep",
    "superpose__share": 0.5,
    "superpose__cycle": "1ep",
    "superpose__low": 0.01,
    "superpose__high": 0.05,
}
"""Six epochs of three steps each: three before, then three cycles of one."""


class Count:
    """Stands in for the progress of a stage."""

    def __init__(self):
        self.done = 0

    def advance(self, units=1, note=""):
        del note
        self.done += units

    skip = advance
