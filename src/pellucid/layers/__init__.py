"""The mathematics of a model in NumPy, one idea per file. The reference engine is built from these."""
