"""What the library offers, pinned: a change of `public_surface.txt` is a change that users feel."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import lpjax

GOLDEN = Path(__file__).with_name("public_surface.txt")
ROOMS = [f"lpjax.{module.name}" for module in pkgutil.iter_modules(lpjax.__path__) if module.ispkg]


def test_the_public_names_are_those_of_the_golden_list_in_alphabetical_order():
    names = GOLDEN.read_text().split()
    assert names == sorted(names)
    assert sorted(lpjax.__all__) == names


def test_the_version_is_one_that_can_be_released():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", lpjax.__version__)


@pytest.mark.parametrize("name", [name for name in lpjax.__all__ if name != "__version__"])
def test_every_public_name_has_an_example_that_the_doctests_run(name):
    home = importlib.import_module(getattr(lpjax, name).__module__)
    tests = {test.name: test for test in doctest.DocTestFinder().find(home)}
    assert tests[f"{home.__name__}.{name}"].examples


@pytest.mark.parametrize("room", ["lpjax", *ROOMS])
def test_every_name_a_room_offers_is_there_once(room):
    module = importlib.import_module(room)
    assert module.__all__, "a room offers something"
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_rooms_are_reached_from_the_library_alone():
    for room in ROOMS:
        name = room.removeprefix("lpjax.")
        assert getattr(lpjax, name) is importlib.import_module(room)
        assert name in dir(lpjax)
