"""One way of saying that a name is unknown."""

import difflib
from collections.abc import Iterable

from lpjax.errors import UserError


def one_of(what: str, got: str, known: Iterable[str], hint: str = "") -> str:
    """Returns a name if it is known, and suggests the nearest if not.

    Args:
      what: What kind of name it is, for the message.
      got: The name.
      known: The names there are.
      hint: What else to do, appended to the message.

    Returns:
      `got`.

    Raises:
      UserError: If it is unknown, in one line.

    Example:
      >>> one_of('model', 'resnet81', ('resnet18', 'vgg16'))
      Traceback (most recent call last):
      lpjax.errors.UserError: unknown model 'resnet81'; did you mean 'resnet18'? (known: resnet18, vgg16)
    """
    names = list(known)
    if got in names:
        return got
    near = difflib.get_close_matches(str(got), names, n=1)
    listed = ", ".join(names)
    advice = f"did you mean {near[0]!r}? (known: {listed})" if near else f"choose one of {listed}"
    raise UserError(f"unknown {what} {got!r}; {advice}{hint}")
