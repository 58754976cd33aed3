from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pellucid.files.walk import find_files, path_of, root_folders
from pellucid.search.roots import files_in, joined, named_places, new_beginnings, places_of, relocated, renamed
from pellucid.search.rows import IndexedFile


@pytest.mark.parametrize(
    ("known", "named", "expected"),
    [
        ({}, ["/a/notes"], {"notes": "/a/notes"}),
        ({"notes": "/a/notes"}, ["/a/notes"], {"notes": "/a/notes"}),
        ({"notes": "/a/notes"}, ["/a/notes/web"], {"notes": "/a/notes"}),
        ({"web": "/a/notes/web"}, ["/a/notes"], {"web": "/a/notes/web", "notes": "/a/notes"}),
        ({"notes": "/a/notes"}, ["/b/notes"], {"notes": "/a/notes", "b/notes": "/b/notes"}),
        ({}, ["/a/notes/web", "/a/notes"], {"notes": "/a/notes"}),
        # The name "b" would make "b/notes/x" stand for two files.
        ({"b/notes": "/a/b/notes"}, ["/c/b"], {"b/notes": "/a/b/notes", "c/b": "/c/b"}),
        ({"b": "/a/b", "notes": "/notes"}, ["/c/b/notes"], {"b": "/a/b", "notes": "/notes", "c/b/notes": "/c/b/notes"}),
    ],
)
def test_a_known_root_keeps_its_name_and_a_new_one_gets_its_own(known, named, expected):
    found = joined({name: Path(place) for name, place in known.items()}, [Path(place) for place in named])
    assert found == {name: Path(place) for name, place in expected.items()}


def test_every_file_has_one_name_that_leads_back_to_it(tmp_path):
    """Whichever roots are known, and whichever are named: those around them, or within them."""
    files = [tmp_path / path for path in ("a/1.txt", "a/web/2.txt", "a/web/deep\\er/3.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for known in ([], [tmp_path / "a"], [tmp_path / "a" / "web"], [files[2].parent, tmp_path / "a" / "web"]):
        before = root_folders(known)
        for named in ([tmp_path / "a"], [tmp_path / "a" / "web"], [tmp_path], [files[2].parent], [files[1]]):
            roots = joined(before, named)
            assert {**roots, **before} == roots
            beginnings = new_beginnings(root_folders(named), roots)
            for found in find_files(named):
                assert path_of(renamed(found.name, beginnings), roots) == found.path


def test_a_folder_that_was_moved_keeps_its_name(tmp_path):
    gone, here, new, other = (tmp_path / place / "notes" for place in ("gone", "here", "new", "other"))
    for place in (here, new, other):
        place.mkdir(parents=True)
        (place / "a.txt").write_text("cat" if place == new else "another text")
    status = (new / "a.txt").stat()
    files = {f"{name}/a.txt": IndexedFile(status.st_size, status.st_mtime_ns, "") for name in ("notes", "here/notes")}

    def found(known, *named):
        return relocated(known, named, files)

    assert found({"notes": gone}, new) == {"notes": new}
    assert found({"notes": here}, new) == {"notes": here}
    assert found({"notes": gone}, gone) == {"notes": gone}
    assert found({"notes": gone}, tmp_path / "new") == {"notes": gone}
    assert found({"notes": gone, "here/notes": here}, here) == {"notes": gone, "here/notes": here}
    # What has the same name and none of its files is another folder.
    assert found({"notes": gone}, other) == {"notes": gone}
    assert relocated({"notes": gone}, [new], {}) == {"notes": gone}
    assert found({"a": gone / "a.txt", "notes": gone}, new) == {"a": gone / "a.txt", "notes": new}


class Watched(dict):
    """A dict that calls a function for each item that is looked at."""

    def __iter__(self):
        yield from super().__iter__()

    def items(self):
        yield from super().items()


def test_thousands_of_files_may_be_named():
    """The work must not grow with the square of their number: twice as many files take twice as many calls."""

    def work(count):
        named = [Path(f"/nowhere/{number % 10}/{number}.txt") for number in range(count)]
        names = [f"{place.parts[-2]}/{place.name}" for place in named]
        files = Watched(dict.fromkeys(names, IndexedFile(1, 1, "")))
        known = Watched(zip(names[: count // 2], named, strict=False))
        assert places_of(named, known) == named
        assert relocated(known, named, files) == known
        assert relocated(known, [Path("/new", place.name) for place in named], files) == known
        roots = Watched(joined(known, named))
        assert len(roots) == count
        assert new_beginnings(roots, roots) == {name: name for name in roots}
        assert all(files_in({place: place.name for place in named}, roots, roots).values())

    def calls(count):
        number = 0

        def on_event(_frame, event, _argument):
            nonlocal number
            number += event in ("call", "c_call")

        sys.setprofile(on_event)
        try:
            work(count)
        finally:
            sys.setprofile(None)
        return number

    assert calls(1600) < 2.3 * calls(800)


def test_what_lies_under_a_root_is_told_by_its_path():
    known = {"notes": Path("/a/notes"), "single.txt": Path("/b/single.txt")}
    names = ["notes/x", "notes/web/y", "notesweb/z", "single.txt"]

    def under(*places):
        found = files_in({Path(place): Path(place).name for place in places}, names, known)
        assert [*found] == [Path(place) for place in places]
        return [*found.values()]

    assert under("/a/notes") == [{"notes/x", "notes/web/y"}]
    assert under("/a/notes", "/a/notes/web") == [{"notes/x", "notes/web/y"}, {"notes/web/y"}]
    assert under("/a", "/b/single.txt", "/") == [
        {"notes/x", "notes/web/y"},
        {"single.txt"},
        {"notes/x", "notes/web/y", "single.txt"},
    ]
    assert under("/a/no", "/elsewhere") == [set(), set()]
    assert under("/elsewhere/notesweb") == [{"notesweb/z"}]  # An older index does not say where it was.


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_in_a_known_root_is_a_part_of_it(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "target")
    (tmp_path / "docs" / "circle").symlink_to(tmp_path / "docs" / "circle")
    link, target = tmp_path / "docs" / "link", tmp_path / "target"
    known = {"docs": tmp_path / "docs"}
    assert places_of([link], known) == [link]
    assert places_of([link], {}) == [target]
    assert places_of([link / "x"], known) == [link / "x"]
    assert places_of([link / "x"], {}) == [target / "x"]
    assert places_of([link / ".." / "x"], known) == [tmp_path / "x"]
    assert places_of([tmp_path / "docs" / "circle"], known) == [tmp_path / "docs" / "circle"]
    assert named_places([link], known) == {"target": link}
    monkeypatch.chdir(tmp_path / "docs")
    assert places_of([Path(), Path(".."), Path("link"), Path("no")], known) == [
        tmp_path / "docs",
        tmp_path,
        link,
        tmp_path / "docs" / "no",
    ]
