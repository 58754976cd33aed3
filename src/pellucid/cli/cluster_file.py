"""The rows of a file with the cluster of each, written as CSV, JSON lines or Parquet."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.cli.lines import Lines
from pellucid.cli.output_files import check_ending, open_output
from pellucid.cli.rows import check_new_columns, csv_lines, read_rows, read_tables

if TYPE_CHECKING:
    from pellucid.tables.arrow import Table
    from pellucid.vectors.clusters import Clusters

_ADDED = {"cluster": "int64", "cluster_name": "string", "representative": "bool"}
"""The columns that are added, with Arrow's names of their types."""


def check_output(out: Path) -> None:
    """Refuse a file that :func:`write_clusters` cannot write.

    Raises:
        OptionError: the name has another ending, or its folder does not exist.
        MissingExtraError: the format needs a package that is not installed.
    """
    if check_ending(out, (".csv", ".jsonl", ".parquet")) == ".parquet":
        from pellucid.tables import added  # noqa: F401  Before any work, in case PyArrow is missing.


def check_columns(lines: Lines) -> None:
    """Refuse a table that has a column of clusters already, or two columns of one name.

    Raises:
        OptionError, UnreadableFileError: as :func:`~pellucid.cli.rows.check_new_columns` says.
    """
    if lines.table is not None:
        check_new_columns(lines.table, _ADDED)


def cluster_columns(found: Clusters) -> Iterator[dict[str, Any]]:
    """For each text: the number of its cluster, from 1; its name; and whether the text is its most typical one."""
    representatives = {group.representative for group in found}
    for index, label in enumerate(found.labels.tolist()):
        values = (label + 1, ", ".join(found[label].words), index in representatives)
        yield dict(zip(_ADDED, values, strict=True))


def write_clusters(out: Path, lines: Lines, found: Clusters) -> int:
    """Write each row with its cluster.

    A table keeps its columns and all of its rows; a row whose text is blank has no cluster. Of a file of lines, the
    numbers and the texts of the lines that are not blank are written.

    Args:
        out: the file to write.
        lines: the texts, and the table that they come from.
        found: their clusters.

    Returns:
        The number of rows.
    """
    table = lines.table
    columns = list(cluster_columns(found))
    if table is not None:
        row_of = {number - 1: place for place, number in enumerate(lines.numbers)}
        columns = [columns[row_of[row]] if row in row_of else dict.fromkeys(_ADDED) for row in range(lines.total)]
    with open_output(out) as path, contextlib.nullcontext() if table is None else table.unchanged():
        if out.suffix.lower() == ".parquet":
            from pellucid.tables import added

            tables = _text_table(lines) if table is None else read_tables(table)
            window: Mapping[str, Any] = {name: [values[name] for values in columns] for name in _ADDED}
            added.write_tables(path, added.add_columns(tables, [window], _ADDED))
        else:
            rows = _text_rows(lines) if table is None else read_rows(table)
            joined = (row | values for row, values in zip(rows, columns, strict=True))
            written = csv_lines(joined) if out.suffix.lower() == ".csv" else _json_lines(joined)
            with path.open("w", encoding="utf-8", newline="") as opened:
                opened.writelines(written)
    return len(columns)


def _json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    return (f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)


def _text_rows(lines: Lines) -> Iterator[dict[str, Any]]:
    return ({"line": number, "text": text} for number, text in zip(lines.numbers, lines.texts, strict=True))


def _text_table(lines: Lines) -> Iterator[Table]:
    from pellucid.tables.added import table_of_columns

    types = {"line": "int64", "text": "string"}
    yield table_of_columns({"line": lines.numbers, "text": lines.texts}, types)
