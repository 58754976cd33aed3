from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.files.walk import find_files, path_of, root_folders
from pellucid.search.roots import joined, names_under, new_beginnings, relocated, renamed


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
    (tmp_path / "here" / "notes").mkdir(parents=True)
    (tmp_path / "new" / "notes").mkdir(parents=True)
    gone, here, new = (tmp_path / place / "notes" for place in ("gone", "here", "new"))
    assert relocated({"notes": gone}, [new]) == {"notes": new}
    assert relocated({"notes": here}, [new]) == {"notes": here}
    assert relocated({"notes": gone}, [gone]) == {"notes": gone}
    assert relocated({"notes": gone}, [tmp_path / "new"]) == {"notes": gone}
    assert relocated({"notes": gone, "here/notes": here}, [here]) == {"notes": gone, "here/notes": here}


def test_thousands_of_files_may_be_named():
    """The time must not grow with the square of their number."""
    named = [Path(f"/nowhere/{number % 100}/{number}.txt") for number in range(3000)]
    roots = joined(root_folders(named[:1500]), named)
    assert len(roots) == 3000
    assert relocated(roots, named) == roots
    assert new_beginnings(root_folders(named), roots) == {name: name for name in roots}
    assert len(names_under(roots, roots, roots)) == 3000


def test_what_lies_under_a_root_is_told_by_its_path():
    known = {"notes": Path("/a/notes"), "single.txt": Path("/b/single.txt")}
    names = ["notes/x", "notes/web/y", "notesweb/z", "single.txt"]

    def under(*roots):
        return names_under(names, known, root_folders([Path(root) for root in roots]))

    assert under("/a/notes") == {"notes/x", "notes/web/y"}
    assert under("/a/notes/web") == {"notes/web/y"}
    assert under("/a", "/b/single.txt") == {"notes/x", "notes/web/y", "single.txt"}
    assert under("/a/no", "/elsewhere") == set()
    assert under("/elsewhere/notesweb") == {"notesweb/z"}  # An older index does not say where it was.
