"""embetter: a classifier of texts, as a pipeline of scikit-learn."""

from __future__ import annotations

import json
import sys

from embetter.text import SentenceEncoder
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.programs.texts import QUERY, TEXTS

subjects = [number // 9 for number in range(len(TEXTS))]
pipeline = make_pipeline(SentenceEncoder(sys.argv[1]), LogisticRegression())
pipeline.fit(TEXTS[::2], subjects[::2])
results = {
    "predicted": pipeline.predict(TEXTS[1::2]).tolist(),
    "probabilities": pipeline.predict_proba([QUERY]).tolist(),
}
print(json.dumps(results))
