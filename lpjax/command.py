"""How the smaller commands read their line: a mistake costs one line and exit code 2."""

import argparse
from typing import NoReturn

USER_MISTAKE = 2
"""The exit code for what the user can mend."""


class OneLineParser(argparse.ArgumentParser):
    """Reads a command line without abbreviations; refuses it without the usage that argparse puts before the reason."""

    def __init__(self, prog: str, description: str) -> None:
        """Begins without arguments.

        Args:
          prog: The command, as it is typed.
          description: What it does.
        """
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Says one line on stderr and ends the program.

        Args:
          message: What is wrong, and what to do.
        """
        self.exit(USER_MISTAKE, f"lpjax: {' '.join(message.split())}\n")
