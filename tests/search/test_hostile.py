"""A folder of hostile files is indexed: what cannot be read is told, and the rest is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import tiny

pytest.importorskip("lancedb")
hostile = pytest.importorskip("fuzz.hostile")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kinds of files, and limits on memory, of POSIX")
DRAWN = int(os.environ.get("PELLUCID_HOSTILE", "20"))
QUICK = ["surrogates.jsonl", "deep.jsonl", "columns.csv", "nested.parquet", "templates.html", "circle.pdf", "deep.pdf"]
QUICK += ["nul.txt", "half.txt", "odd.txt", "lying.txt", "escapes.txt", "zip.txt", "nothing.txt", "dictionary.parquet"]
SCRIPT = """
import json, pathlib, resource, sys, pellucid
from pellucid.search import reading
from pellucid.search.index import Index
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
reading.SECONDS, reading.SECONDS_PER_MEGABYTE = int(sys.argv[1]), 0
model, folder, to = map(pathlib.Path, sys.argv[2:])
index = Index.create(to, pellucid.Embedder(model))
summary = index.update([folder])
again = index.update([folder])
found = {hit.row.file for hit in index.search("okapi", 100, mode="text")}
status = pathlib.Path("/proc/self/status")
peak = int(status.read_text().split("VmHWM:")[1].split()[0]) if status.exists() else 0
print(json.dumps([summary.files, again.files, sorted(found), {s.name: s.reason for s in summary.skipped}, peak]))
"""


def indexed(folder, tmp_path):
    (folder / "good.txt").write_text("an okapi", encoding="utf-8")
    (folder / "table.csv").write_text("text\nan okapi\n", encoding="utf-8")
    hostile.write(folder, hostile.FILES if DRAWN >= 100 else QUICK, DRAWN)
    model = tiny.write_model(tmp_path / "m")
    seconds = 5 if DRAWN >= 100 else 60  # Of the quick ones, none needs the bound; a busy machine takes its time.
    command = [sys.executable, "-c", SCRIPT, str(seconds), str(model), str(folder), str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_the_rest_of_a_folder_of_hostile_files_is_indexed(tmp_path):
    """Set PELLUCID_HOSTILE to the number of drawn files; from 100 on, all others come too, which takes minutes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    try:
        files, again, found, skipped, peak = indexed(folder, tmp_path)
    finally:
        subprocess.run(["rm", "-r", folder], check=True)  # shutil.rmtree() does not get as deep.
    assert files == again
    assert {"notes/good.txt", "notes/table.csv", "notes/names/a\nb.txt", "notes/names/a\\\\xff.txt"} <= {*found}
    assert "notes/gitignores/0/" + "a" * 200 in found
    assert skipped["notes/dictionary.parquet"] == "more than 67,108,864 characters of text"
    assert skipped["notes/gitignores/4"] == "line 1 of .gitignore has more than 500 letters"
    assert skipped["notes/places/pipe.pdf"] == "neither a file nor a folder"
    assert not any("ended the process" in reason for reason in skipped.values())
    assert peak < 1 << 20  # kilobytes
