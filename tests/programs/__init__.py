"""Programs that other people wrote, each with results that were taken from the real sentence-transformers.

Each ``…_program.py`` uses a library in its own way, with the model in the folder that its command line names, and
prints its results as JSON. It knows nothing of Pellucid.
"""
