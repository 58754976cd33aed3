"""PyTorch: the families of the project on a GPU, and any architecture that transformers knows.

Nothing here is imported before it is asked for. PyTorch has no other owner than this folder, and transformers no other
than ``known.py``::

    engine.py    TorchEngine: steps, out of memory, what comes back
    planning.py  which texts go together
    steps.py     how they lie: end to end, or side by side
    ragged.py    the forward pass of the project's own families: no padding
    known.py     the models of transformers
    pooled.py    pooling where the token vectors are
    devices.py   what is there
"""
