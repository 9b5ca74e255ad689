"""What a run shows while it works: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Counts units of one stage, with rate and time left; used as a context manager."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        """Starts a stage.

        Args:
          stage: Its name, e.g. `'seed 0 tickets'`.
          total: Units to do.
          unit: What they are.
        """
        self.bar = tqdm(total=total, desc=stage, unit=unit, disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self.stage, self.start = stage, time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Moves the bar.

        Args:
          units: Units done since the last call.
          note: What is being worked on, shown behind the bar.
        """
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(units)

    def line(self, text: str) -> None:
        """Writes a line that stays.

        Args:
          text: What happened; the stage and the seconds since its start go before it.
        """
        tqdm.write(f"[{self.stage} {time.monotonic() - self.start:6.1f}s] {text}")
        sys.stdout.flush()
