"""Figures as SVG elements of a page: curves that can be hidden, values that can be read off."""

import io
import re
from collections import defaultdict
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lpjax.report import style

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_PIXELS_PER_POINT = 1.8
"""On the page, type of 8 points is 14.4 pixels high."""
_REFERENCE = re.compile(r"#([\w.-]+)")


def svg(figure: Figure, name: str) -> str:
    """Draw a figure as an SVG element; the same figure and name give the same text.

    What `style.curve` and `style.band` draw gets `data-curve`, the name of its method. Curves of single seeds, which
    other formats leave out, get `data-seed` too. So a page can show and hide them. Every marker of a mean has its value
    as `title`.

    Args:
      figure: As Matplotlib draws it.
      name: Makes ids unique within a page.

    Returns:
      The element. It is as wide as what it is in, up to the width at which its type is as large as the page's.
    """
    curves = [line for axes in figure.axes for line in axes.lines if line.get_gid()]
    hidden = [line for line in curves if not line.get_visible()]
    drawn = io.StringIO()
    for line in hidden:
        line.set_visible(True)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        without_dates = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=without_dates)
    for line in hidden:
        line.set_visible(False)
    return _element(drawn.getvalue(), curves)


def _element(text: str, curves: list[Line2D]) -> str:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    in_order = defaultdict(list)  # the curve of a method may be in several panels
    for line in curves:
        in_order[line.get_gid()].append(line)
    referenced = set(_REFERENCE.findall(text))
    for element in root.iter():
        name = element.get("id", "")
        if name not in referenced:
            element.attrib.pop("id", None)  # Matplotlib numbers its groups from 1 in every figure
        kind, _, curve = name.partition(":")
        if kind not in (style.CURVE, style.BAND):
            continue
        method, _, seed = curve.partition(style.OF_SEED)
        element.set("data-curve", method)
        if seed:
            element.set("data-seed", seed)
        elif kind == style.CURVE:
            _add_values(element, in_order[name].pop(0))
    width = float(root.get("width", "").removesuffix("pt"))
    del root.attrib["width"], root.attrib["height"]
    root.set("style", f"max-width: {_PIXELS_PER_POINT * width:.0f}px")
    return ElementTree.tostring(root, encoding="unicode")


def _add_values(element: ElementTree.Element, line: Line2D) -> None:
    """Give every marker its value as a title."""
    at = line.axes.get_xlabel().partition(" (")[0] if line.axes else ""
    points = np.column_stack([line.get_xdata(), line.get_ydata()])
    markers = element.findall(f".//{{{_SVG}}}use")
    if len(markers) != len(points):  # Matplotlib leaves out what is outside the figure or NaN
        return
    for marker, (x, y) in zip(markers, points, strict=True):
        title = ElementTree.SubElement(marker, f"{{{_SVG}}}title")
        title.text = f"{line.get_label()}, {at} {x:.3g}: {y:.4g}"
