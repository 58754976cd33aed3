"""An index of files: kept up to date by embedding only what is new, and searched by meaning and by words.

::

    files ─ readers ─▶ documents ─ chunks ─▶ rows ─ kind of vectors ─▶ vectors ─ staging ─▶ store (LanceDB)
    query ─ kind of vectors ─▶ question ─ store ─▶ rankings by vector and by words ─ fuse ─▶ hits
"""
