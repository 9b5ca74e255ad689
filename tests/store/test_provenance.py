import json
import re
import socket
import subprocess

import jax

from lpjax import store
from lpjax.store import provenance


def test_the_environment_names_versions_and_devices_but_no_host():
    environment = store.environment()
    assert environment["jax"] == jax.__version__
    assert sum(environment["devices"].values()) == jax.device_count()
    assert {"python", "lpjax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "platform"} <= environment.keys()
    assert socket.gethostname() not in environment["platform"]
    assert json.loads(json.dumps(environment)) == environment


def git(directory, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *identity, "-C", directory, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_tree_the_source_lies_in(tmp_path, monkeypatch):
    source = tmp_path / "provenance.py"
    source.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(source))
    assert store.environment()["commit"] is None
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "First")
    commit = store.environment()["commit"]
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert commit == git(tmp_path, "rev-parse", "HEAD")
    source.write_text("changed")
    assert store.environment()["commit"] == f"{commit}-dirty"


def test_a_repository_that_only_surrounds_an_installed_package_is_not_named(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Theirs")
    (tmp_path / "provenance.py").write_text("")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert store.environment()["commit"] is None
