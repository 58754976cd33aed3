"""The mathematics of a model in NumPy, one idea a file: what the reference engine is made of."""
