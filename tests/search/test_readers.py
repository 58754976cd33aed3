from __future__ import annotations

import io
import json

import pytest

from pellucid.errors import UnreadableFileError
from pellucid.search.readers import MAX_BYTES, Document, read

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
    assert documents(tmp_path / "a.html", page) == [Document("The cat\n\nsat", "text", "text")]


def test_html_is_laid_out_as_a_page_shows_it(tmp_path):
    page = (
        "<body><h1>A data<b>base</b></h1>\n<p>One\n line &amp;<br>another</p><ul><li>cat</li> <li>dog</li></ul>"
        "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table><pre>def f():\n    <i>return</i> 1</pre>"
    )
    (document,) = documents(tmp_path / "a.html", page)
    assert document.text.split("\n\n") == [
        "A database",
        "One line &\nanother",
        "cat\ndog",
        "1 2\n3",
        "def f():\n    return 1",
    ]


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
    assert documents(tmp_path / "b.csv", "text\r\n10\r\n\r\n2026-01-01\r\n") == [
        Document("10", "text", "row 1"),
        Document("2026-01-01", "text", "row 2"),
    ]
    lines = "\n".join(json.dumps({"body": text}) for text in ("the cat", "a dog"))
    assert [d.part for d in documents(tmp_path / "a.jsonl", f"{lines}\n\n", column="body")] == ["line 1", "line 2"]


def test_utf16_that_says_so_is_read(tmp_path):
    assert documents(tmp_path / "a.txt", "caf\u00e9".encode("utf-16")) == [Document("caf\u00e9", "text")]
    with pytest.raises(UnreadableFileError, match=r"not UTF-16 \(byte 3\)"):
        documents(tmp_path / "a.txt", b"\xff\xfea")


def test_a_line_of_json_ends_where_a_line_ends(tmp_path):
    content = '{"text": "a\u2028b\u0085c"}\r\n{"text": "d"}\n'
    assert [d.text for d in documents(tmp_path / "a.jsonl", content)] == ["a\u2028b\u0085c", "d"]


def test_lines_of_an_old_mac_are_rows(tmp_path):
    assert [d.text for d in documents(tmp_path / "a.csv", "text,n\rthe cat,1\ra dog,2\r")] == ["the cat", "a dog"]


def test_rows_may_be_long_and_what_is_not_read_of_them_may_be_nested(tmp_path):
    text = "the cat " * (20 << 17)  # 20 MiB, more than a row of a batch job may have.
    nested = "[" * 500 + "]" * 500
    content = f'{{"text": "{text}", "n": {nested}}}\n'
    assert [len(d.text) for d in documents(tmp_path / "a.jsonl", content)] == [len(text)]
    assert [len(d.text) for d in documents(tmp_path / "a.csv", f"text\n{text}\n")] == [len(text)]


def test_half_a_character_is_replaced(tmp_path):
    content = r'{"text": "a\ud800b \ud83d\ude00"}'
    assert [d.text for d in documents(tmp_path / "a.jsonl", content)] == ["a\ufffdb \U0001f600"]


def test_an_encrypted_pdf_says_so(tmp_path, monkeypatch):
    encrypted = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("the cat")))
    encrypted.encrypt("secret", algorithm="RC4-128")
    encrypted.write(tmp_path / "a.pdf")
    with pytest.raises(UnreadableFileError, match="an encrypted PDF"):
        list(read(tmp_path / "a.pdf"))
    # Other ciphers need a package that pypdf has not by itself.
    monkeypatch.setattr(pypdf, "PdfReader", lambda _: (_ for _ in ()).throw(pypdf.errors.DependencyError()))
    with pytest.raises(UnreadableFileError, match="an encrypted PDF"):
        list(read(tmp_path / "a.pdf"))


def test_a_pdf_that_is_broken_within_is_no_more_than_unreadable(tmp_path):
    assert [document.text for document in documents(tmp_path / "a.pdf", pdf("the cat"))] == ["the cat"]
    with pytest.raises(UnreadableFileError, match="broken PDF"):
        documents(tmp_path / "a.pdf", pdf("the cat").replace(b"/FlateDecode", b"/FlateDecodX"))


def pdf(text):
    """One page, compressed."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(100, 100)
    stream = pypdf.generic.StreamObject()
    stream.set_data(f"BT /F 12 Tf ({text}) Tj ET".encode())
    name, dictionary = pypdf.generic.NameObject, pypdf.generic.DictionaryObject
    font = dictionary(
        {name("/Type"): name("/Font"), name("/Subtype"): name("/Type1"), name("/BaseFont"): name("/Courier")}
    )
    page[name("/Resources")] = dictionary({name("/Font"): dictionary({name("/F"): font})})
    page[name("/Contents")] = writer._add_object(stream.flate_encode())
    content = io.BytesIO()
    writer.write(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"a\0b", "binary"),
        ("a.txt", "caf\u00e9".encode("latin-1"), r"not UTF-8 \(byte 4\)"),
        ("a.pdf", b"%PDF-1.4 nonsense", "broken PDF"),
        ("a.pdf", b"nonsense", "broken PDF"),
        ("a.jsonl", b'{"text": "a"}\n{', "line 2: it is not JSON"),
        ("a.jsonl", b'{"body": "a"}', "line 1: it has no 'text'"),
        ("a.jsonl", b"[]", "line 1: it is not a JSON object"),
        ("a.jsonl", b"[" * 100_000, "line 1: it is not JSON"),
        ("a.csv", b"a,b\n1,2\n", "no column 'text', only a, b"),
        ("a.csv", b"text,text\n1,2\n", "several columns 'text'"),
        ("a.csv", b"text,b\n1,2\n\n1,2,3\n", "row 2: it has 3 fields, and the header has 2"),
        ("a.csv", b'text\n"a', "row 1: its quotes do not match"),
        ("a.parquet", b"PAR1 nonsense", "broken Parquet"),
        ("a.html", b"\xff\xff", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_says_why_and_never_what_it_says(tmp_path, name, content, reason):
    with pytest.raises(UnreadableFileError, match=reason):
        documents(tmp_path / name, content)


def test_lines_of_json_end_where_json_says_they_do(tmp_path):
    """Within a text, JSON allows U+2028 and U+0085 as they are, which Python counts among the ends of lines."""
    content = '{"text": "the\u2028cat\u0085sat"}\r\n{"text": "a dog"}\n'
    assert [document.text for document in documents(tmp_path / "a.jsonl", content)] == [
        "the\u2028cat\u0085sat",
        "a dog",
    ]


def test_a_broken_pdf_is_not_quoted_in_a_log(tmp_path, caplog):
    with pytest.raises(UnreadableFileError):
        documents(tmp_path / "a.pdf", b"a secret that is no PDF")
    assert "secre" not in caplog.text


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UnreadableFileError, match="at most 67,108,864 are read"):
        list(read(tmp_path / "a.txt"))


def test_a_file_that_is_gone_is_unreadable(tmp_path):
    with pytest.raises(UnreadableFileError, match="No such file"):
        list(read(tmp_path / "a.txt"))
