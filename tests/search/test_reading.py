from __future__ import annotations

import io
import json
import sys

import pytest

from pellucid.errors import MissingExtraError, UnreadableFileError
from pellucid.search import reader_process, reading
from pellucid.search.readers import MAX_TEXTS, Document, parse
from pellucid.search.reading import DocumentReader

hostile = pytest.importorskip("fuzz.hostile")
HTML = b"<p>the cat"


@pytest.fixture
def reader():
    with DocumentReader() as reader:
        yield reader


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".html", HTML),
        (".HTM", HTML),
        (".csv", b'text,n\n"the\ncat",1\n'),
        (".jsonl", '{"text": "caf\u00e9\u2028 \\ud83d\\ude00 \\ud800"}\n'.encode() * 2000),
        (".txt", b"the cat"),
    ],
)
def test_the_process_reads_what_this_one_would(reader, suffix, content):
    assert reader.read(content, suffix) == list(parse(content, suffix))


def test_plain_text_needs_no_process(reader):
    reader.read(b"# the cat", ".md")
    assert reader._process is None


def test_one_process_reads_many_files(reader):
    processes = {(reader.read(HTML, ".html"), reader._process.pid)[1] for _ in range(3)}
    assert len(processes) == 1


def test_what_cannot_be_read_says_why_and_the_next_file_is_read(reader):
    with pytest.raises(UnreadableFileError, match="line 1: it is not JSON"):
        reader.read(b"{", ".jsonl")
    assert reader.read(HTML, ".html") == [Document("the cat", "text", "text")]


class TestBounds:
    def test_time(self, reader, monkeypatch):
        """Each element is looked for among all that are open: it would take minutes."""
        with monkeypatch.context() as patch:
            patch.setattr(reading, "SECONDS", 2)
            patch.setattr(reading, "SECONDS_PER_MEGABYTE", 0)
            with pytest.raises(UnreadableFileError, match="reading it takes more than 2 seconds"):
                reader.read(hostile.FILES["div.html"](), ".html")
        assert reader.read(HTML, ".html")

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to a limit on its memory")
    def test_memory(self, reader, monkeypatch):
        monkeypatch.setattr(reading, "MEMORY_BYTES", 1 << 30)
        monkeypatch.setattr(reading, "SECONDS", 60)
        content = hostile.long_text(256 << 20)
        with pytest.raises(UnreadableFileError, match="reading it takes more than 1 GiB of memory"):
            reader.read(content, ".parquet")
        assert reader.read(HTML, ".html")

    @pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
    def test_rows(self, name):
        texts = parse(hostile.FILES[name](), name[name.index(".") :])
        with pytest.raises(UnreadableFileError, match="more than 100,000 rows or pages"):
            assert sum(1 for _ in texts) <= MAX_TEXTS

    def test_characters(self):
        """A few hundred bytes of Parquet, whose rows all point to one long text."""
        content = hostile.FILES["dictionary.parquet"]()
        assert len(content) < 2000
        with pytest.raises(UnreadableFileError, match="more than 67,108,864 characters of text"):
            list(parse(content, ".parquet"))

    def test_names_in_a_message(self):
        with pytest.raises(UnreadableFileError, match="no column 'text', only c0, c1, .*c9, and 4,990 more") as caught:
            list(parse(",".join(f"c{number}" for number in range(5000)).encode(), ".csv"))
        with pytest.raises(UnreadableFileError, match="the header is longer than 1 MiB"):
            list(parse(hostile.FILES["columns.csv"](), ".csv"))
        assert len(str(caught.value)) < 200


def test_a_process_that_is_gone_is_told_and_the_next_file_gets_a_new_one(reader):
    reader.read(HTML, ".html")
    reader._process.kill()
    reader._process.wait()
    with pytest.raises(UnreadableFileError, match=r"the process that read it crashed \(exit status -?\d+\)"):
        reader.read(HTML, ".html")
    assert reader.read(HTML, ".html")


def test_an_answer_that_nobody_heard_is_not_taken_for_the_next(reader, monkeypatch):
    """As when Ctrl-C comes while a file is read."""
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_ask", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reader.read(HTML, ".html")
    assert reader._process is None
    assert reader.read(HTML, ".html")


def test_a_process_that_cannot_be_started_is_reported(reader, monkeypatch):
    monkeypatch.setattr(reading.sys, "executable", "/nowhere/python")
    with pytest.raises(UnreadableFileError, match="the process that reads files could not start"):
        reader.read(HTML, ".html")


def test_the_process_ends_when_nobody_asks_any_more(reader):
    reader.read(HTML, ".html")
    reader._process.stdin.close()
    assert reader._process.wait(60) == 0


def test_a_missing_package_is_told_by_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    out = io.BytesIO()
    reader_process.answer({"suffix": ".html", "column": "text"}, HTML, out)
    told = json.loads(out.getvalue().splitlines()[-1])
    assert told["missing"] == "selectolax"
    with DocumentReader() as reader, monkeypatch.context() as patch:
        patch.setattr(reading, "_ask", lambda *_: ([], told))
        with pytest.raises(MissingExtraError, match=r"'\.\[search\]'"):
            reader.read(HTML, ".html")
