"""The BibTeX entries of the methods that a run used."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

from lpjax.report import arms, reading

_ENTRY = re.compile(r"@\w+\{([^,]+),.*?^\}", re.DOTALL | re.MULTILINE)
POOLS = {
    "recalibrated": "",
    "interpolation": "yin2023lottery",
    "average": "yin2023lottery",
    "best_single": "",
    "swa": "izmailov2018averaging",
    "ema_decay": "yin2023lottery",
    "ema_newest": "yin2023lottery",
    "uniform": "wortsman2022model",
    "reference": "yin2023lottery",
}
SPARSE = {
    "uniform": "",
    "erk": "evci2020rigging",
    "snip": "lee2019snip",
    "set": "mocanu2018scalable",
    "rigl": "evci2020rigging",
    "itop": "liu2021actually",
    "granet": "liu2021sparse",
    "gmp": "zhu2017prune",
    "snfs": "dettmers2019sparse",
    "dsr": "mostafa2019parameter",
    "2:4": "mishra2021accelerating",
    "dense": "",
}


def cite(workdir: Path) -> str:
    """Return the BibTeX entries of the methods that a run used, in the order of the run.

    Args:
      workdir: Of a run, finished or not.

    Returns:
      The entries, with empty lines between them.

    Raises:
      UserError: If the directory is not of a run.
    """
    config = reading.config(workdir)
    known = entries()
    return "\n\n".join(known[key] for key in dict.fromkeys(_keys(config)) if key)


def entries() -> dict[str, str]:
    """Read all entries, by key."""
    text = resources.files("lpjax.report").joinpath("references.bib").read_text(encoding="utf-8")
    return {entry[1]: entry[0] for entry in _ENTRY.finditer(text)}


def _keys(config: dict[str, Any]) -> list[str]:
    keys = []
    if arms.is_sparse(config):
        keys.append(SPARSE.get(config["sparse"]["method"], ""))
        if config["superpose"]["share"]:
            keys.append("yin2022superposing")
    else:
        keys.append("frankle2019lottery")
        rewind = str(config["imp"]["rewind"])
        if rewind == "final":
            keys.append("renda2020comparing")
        elif not rewind.startswith("0"):
            keys.append("frankle2020linear")
        keys += [POOLS.get(method, "") for method in config["pool"]["methods"]]
    if config.get("corruptions", {}).get("measure", "none") != "none":
        keys.append("hendrycks2019benchmarking")
    return keys
