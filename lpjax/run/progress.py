"""What a run shows while it works: a bar on a terminal, plain lines elsewhere; and the status of its process."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

import jax
from tqdm import tqdm

from lpjax.run import status
from lpjax.run.status import watch

__all__ = ["Progress", "watch"]


class Progress:
    """Counts units of one stage, with rate and time left; used as a context manager.

    Of several processes the first has the bar; the lines of the others say whose they are.
    """

    def __init__(self, stage: str, total: int, unit: str) -> None:
        """Starts a stage.

        Args:
          stage: Its name, e.g. `'seed 0 tickets'`.
          total: Units to do.
          unit: What they are.
        """
        process = jax.process_index()
        silent = process > 0 or not sys.stderr.isatty()
        self.bar = tqdm(total=total, desc=stage, unit=unit, disable=silent, dynamic_ncols=True)
        self.stage, self.total, self.unit = stage, total, unit
        self.start, self.done, self.earlier, self.note = time.monotonic(), 0, 0, ""
        self.prefix = f"process {process}: " if process else ""
        self._tell(at_once=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        self._tell(at_once=True)

    def advance(self, units: int = 1, note: str = "", *, earlier: bool = False) -> None:
        """Moves the bar.

        Args:
          units: Units done since the last call.
          note: What is being worked on, shown behind the bar; without one, what was shown stays.
          earlier: Whether an earlier run has done them, so that they say nothing of the pace.
        """
        self.done, self.note = self.done + units, note or self.note
        if earlier:
            self.earlier += units
            self.bar.initial = self.earlier
        self.bar.set_postfix_str(self.note, refresh=False)
        self.bar.update(units)
        self._tell(at_once=False)

    def alive(self, ask: Callable[[int], bool]) -> Callable[[int], bool]:
        """Gives a sign of life within a long unit, whenever training asks whether to pause.

        Args:
          ask: The question, given the steps done.

        Returns:
          The same question.
        """

        def asked(step: int) -> bool:
            self._tell(at_once=False)
            return ask(step)

        return asked

    def line(self, text: str) -> None:
        """Writes a line that stays.

        Args:
          text: What happened; the stage and the seconds since its start go before it.
        """
        tqdm.write(f"{self.prefix}[{self.stage} {time.monotonic() - self.start:6.1f}s] {text}")
        sys.stdout.flush()

    def _tell(self, at_once: bool) -> None:
        rate = (self.done - self.earlier) / max(time.monotonic() - self.start, 1e-9)
        counts = {"done": self.done, "total": self.total, "unit": self.unit, "rate": rate}
        status.tell(at_once=at_once, stage=self.stage, note=self.note, **counts)
