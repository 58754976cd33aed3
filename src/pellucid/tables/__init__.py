"""Tables of texts: Parquet, JSON lines, CSV and plain lines, for batch jobs and for search.

::

    records.py      lines of JSON, CSV and text, one row at a time, good or bad
    rows.py         some rows, exactly as they are written
    parquet.py      Parquet in bounded memory, both ways
    schemas.py      which columns a table must have
    reader.py       parts of files, as Arrow tables without the rows that cannot be used
    added.py        rows with more columns, and rows as JSON
    json_values.py  values that JSON has
    arrow.py        Arrow columns and tables from NumPy arrays and Python lists

PyArrow is imported in this package and nowhere else.
"""
