from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pellucid import Embedder
from pellucid.errors import OptionError
from pellucid.explain.render.html import page
from pellucid.explain.text_map import text_map
from tests import tiny


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    embedder = Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"))
    return (
        embedder.trace("the cat"),
        embedder.compare("the cat", "a dog"),
        text_map(embedder.encoder, ["the cat", "a dog"]),
    )


def test_the_page_is_written(subjects, tmp_path):
    for subject in subjects:
        for path in (tmp_path / "a.html", str(tmp_path / "b.htm")):
            assert subject.save_html(path) is None
            assert Path(path).read_text(encoding="utf-8") == page(subject)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.htm"]


def test_a_tilde_is_the_home_folder(subjects, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for subject in subjects:
        subject.save_html("~/why.html")
        (tmp_path / "why.html").unlink()
    for ending in ("html", "svg"):
        subjects[2].save(f"~/map.{ending}")
    subjects[0].save_npz("~/trace.npz")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["map.html", "map.svg", "trace.npz"]
    with pytest.raises(OptionError, match="no such home folder"):
        subjects[0].save_html("~nobody-has-this-name/why.html")


@pytest.mark.parametrize("name", ["missing/x.html", "folder", "x\0.html", "n" * 300])
def test_a_file_that_cannot_be_written_is_an_option_error(subjects, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.npz").mkdir()
    for subject in subjects:
        with pytest.raises(OptionError, match="cannot be"):
            subject.save_html(tmp_path / name)
    with pytest.raises(OptionError, match="cannot be"):
        subjects[0].save_npz(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "folder.npz"]


def test_if_the_disk_is_full_the_file_from_before_stays(subjects, tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x.html").write_text("before")
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OptionError, match=r"x\.html cannot be written \(No space left on device\)"):
        subjects[0].save_html(tmp_path / "x.html")
    assert (tmp_path / "x.html").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
