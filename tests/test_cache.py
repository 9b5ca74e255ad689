"""Folders that may be written without asking, whoever the user is."""

import os
import pwd
import tempfile

import pytest

from lpjax.cache import cache_directory, temporary_directory


@pytest.fixture
def homeless(monkeypatch):
    """An arbitrary user of a container: neither HOME nor an entry in the list of users."""

    def nobody(user):
        raise KeyError(user)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


def test_the_cache_is_where_the_user_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "lpjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "lpjax"
    assert cache_directory().is_dir()


def test_without_a_home_it_is_among_the_temporary_files(homeless, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_directory() == temporary_directory() == tmp_path / f"lpjax-{os.getuid()}"
    assert temporary_directory().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_a_home_that_takes_no_files_is_none(home, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    assert cache_directory() == temporary_directory()


def test_a_home_of_somebody_else_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == temporary_directory()


def test_a_temporary_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    owner = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: owner)
    assert temporary_directory().parent == tmp_path
    assert temporary_directory().name != f"lpjax-{owner}"
