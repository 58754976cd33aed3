from __future__ import annotations

import json

import pytest

from pellucid.search.readers import LARGEST, Document, UnreadableError, read

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pypdf = pytest.importorskip("pypdf")
pytest.importorskip("selectolax")


def documents(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read(path, **options))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", "text"), ("a", "text"), ("a.md", "markdown"), ("A.MD", "markdown"), ("a.py", "code"), ("a.rst", "text")],
)
def test_a_name_says_what_kind_of_text_it_is(tmp_path, name, kind):
    assert documents(tmp_path / name, "\ufeffthe cat\n") == [Document("the cat\n", kind)]


def test_html_is_what_a_reader_sees(tmp_path):
    page = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>The <b>cat</b></p><script>x</script><p>sat</p>"
    )
    (document,) = documents(tmp_path / "a.html", page)
    assert document.text.split() == ["The", "cat", "sat"]


def test_a_pdf_is_its_pages(tmp_path):
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "a.pdf")
    assert [document.part for document in read(tmp_path / "a.pdf")] == ["page 1", "page 2"]


def test_a_table_is_its_rows(tmp_path):
    table = pyarrow.table({"id": [1, 2, 3], "body": ["the cat", None, "a dog"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    expected = [Document("the cat", "text", "row 1"), Document("a dog", "text", "row 3")]
    assert list(read(tmp_path / "a.parquet", "body")) == expected
    assert documents(tmp_path / "a.csv", 'id,body\n1,the cat\n3,"a\ndog"\n', column="body")[1].text == "a\ndog"
    lines = "\n".join(json.dumps({"body": text}) for text in ("the cat", "a dog"))
    assert [d.part for d in documents(tmp_path / "a.jsonl", f"{lines}\n\n", column="body")] == ["line 1", "line 2"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"a\0b", "binary"),
        ("a.txt", "caf\u00e9".encode("latin-1"), r"not UTF-8 \(byte 4\)"),
        ("a.pdf", b"%PDF-1.4 nonsense", "no sound PDF"),
        ("a.pdf", b"nonsense", "no sound PDF"),
        ("a.jsonl", b'{"text": "a"}\n{', "line 2 is no JSON"),
        ("a.jsonl", b'{"body": "a"}', "line 1 has no text called 'text'"),
        ("a.jsonl", b"[]", "line 1 has no text called 'text'"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.jsonl", rb'{"text": "a\ud800"}', "line 1 has half a character"),
        ("a.csv", b"a,b\n1,2\n", "no column 'text', only a, b"),
        ("a.csv", b"text,text\n1,2\n", "several columns 'text'"),
        ("a.csv", b"text,\xff\n1,2\n", "no sound csv"),
        ("a.parquet", b"PAR1 nonsense", "no sound parquet"),
        ("a.html", b"\xff\xfe\xff", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_says_why_and_never_what_it_says(tmp_path, name, content, reason):
    with pytest.raises(UnreadableError, match=reason):
        documents(tmp_path / name, content)


def test_lines_of_json_end_where_json_says_they_do(tmp_path):
    """Within a text, JSON allows U+2028 and U+0085 as they are, which Python counts among the ends of lines."""
    content = '{"text": "the\u2028cat\u0085sat"}\r\n{"text": "a dog"}\n'
    assert [document.text for document in documents(tmp_path / "a.jsonl", content)] == [
        "the\u2028cat\u0085sat",
        "a dog",
    ]


def test_a_broken_pdf_is_not_quoted_in_a_log(tmp_path, caplog):
    with pytest.raises(UnreadableError):
        documents(tmp_path / "a.pdf", b"a secret that is no PDF")
    assert "secre" not in caplog.text


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UnreadableError, match="more than the 67,108,864 that are read"):
        list(read(tmp_path / "a.txt"))


def test_a_file_that_is_gone_is_unreadable(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        list(read(tmp_path / "a.txt"))
