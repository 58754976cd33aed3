"""Drop-ins for the classes of sentence-transformers: change the import, and keep every number.

::

    from pellucid.sentence_transformers import CrossEncoder

Options, defaults and results are the same. An option that Pellucid cannot honour is an error that says what to do.
PyTorch is imported only if you ask for tensors, or pass a function that works on them.
"""

from pellucid.sentence_transformers.cross_encoder import CrossEncoder

__all__ = ["CrossEncoder"]
