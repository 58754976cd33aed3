"""skrub: a column of texts, as columns of numbers, and a classifier behind it."""

from __future__ import annotations

import json
import sys
import tempfile

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skrub import LLMEncoder

from tests.programs.texts import QUERY, TEXTS

subjects = [number // 9 for number in range(len(TEXTS))]
with tempfile.TemporaryDirectory() as folder:
    encoder = LLMEncoder(sys.argv[1], n_components=None, cache_folder=folder)
    numbers = encoder.fit_transform(pd.Series(TEXTS, name="text"))
    pipeline = make_pipeline(encoder, LogisticRegression())
    pipeline.fit(pd.Series(TEXTS, name="text"), subjects)
    probabilities = pipeline.predict_proba(pd.Series([QUERY], name="text"))
results = {
    "names": list(numbers.columns[:2]),
    "numbers": numbers.iloc[:5, :8].astype(float).to_numpy().tolist(),
    "probabilities": probabilities.tolist(),
}
print(json.dumps(results))
