import importlib
import subprocess
import sys

import pytest

from lpjax import data
from lpjax.data.directory import prepared

main = importlib.import_module("lpjax.data.prepare").main


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lpjax: ")
    assert err.count("\n") == 1
    return err


def test_the_command_prepares_a_folder_and_says_where(images_folder, tmp_path, capsys):
    main(["folder", "--name=pets", f"--source={images_folder}", f"--data_dir={tmp_path}"])
    assert capsys.readouterr().out == f"{tmp_path}/pets/1.0.0\n"
    assert "pets" in prepared(tmp_path)


def test_the_command_divides_a_folder_without_splits(images_folder, tmp_path, capsys):
    main(
        [
            "folder",
            "--name=pets",
            f"--source={images_folder / 'train'}",
            f"--data_dir={tmp_path}",
            "--test_fraction=0.3",
        ]
    )
    training, test = data.open_image_splits("pets", str(tmp_path))
    assert (training.size, test.size) == (4, 2)


def test_the_command_prepares_an_archive(archive, tmp_path, capsys, monkeypatch):
    made = archive("cifar10")
    monkeypatch.setitem(data.ARCHIVES, "cifar10", data.ARCHIVES["cifar10"]._replace(md5=made.md5))
    main(["cifar10", f"--archive={made.path}", f"--data_dir={tmp_path}"])
    assert capsys.readouterr().out == f"{tmp_path}/cifar10/3.0.2\n"


def test_the_command_prepares_a_smaller_copy(images_folder, tmp_path, capsys):
    data.prepare_folder("pets", images_folder, tmp_path / "whole")
    where = [f"--source_dir={tmp_path / 'whole'}", f"--data_dir={tmp_path}"]
    main(["downsampled", "--source=pets", "--factor=1", *where])
    assert capsys.readouterr().out == f"{tmp_path}/pets_4x5/1.0.0\n"


def test_mistakes_end_with_one_line_and_code_two(archive, tmp_path, capsys):
    made = archive("cifar10")
    assert "MD5" in refused(capsys, "cifar10", f"--archive={made.path}", f"--data_dir={tmp_path}")
    assert "'cifar1000'" in refused(capsys, "cifar1000")
    assert "--source=DIR" in refused(capsys, "folder", "--name=pets")
    assert "--sauce=x" in refused(capsys, "folder", "--sauce=x")
    assert "--source=DATASET" in refused(capsys, "downsampled")
    assert "'digits'" in refused(capsys, "downsampled", "--source=digits")
    assert "what" in refused(capsys)


@pytest.mark.slow
def test_the_module_runs_without_a_warning(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "lpjax.data.prepare", "cifar10"]
    done = subprocess.run(
        [*command, f"--archive={tmp_path}/no.tar.gz", f"--data_dir={tmp_path}"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("lpjax: ")
    assert f"{tmp_path}/no.tar.gz" in done.stderr
    assert done.stderr.count("\n") == 1
