from __future__ import annotations

import pickle

import pytest

from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_scikit_learn(folder, embedder):
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    from pellucid.integrations import scikit_learn
    from pellucid.integrations.scikit_learn import TextVectorizer

    vectorizer = TextVectorizer(folder, options={"threads": 1}, truncate_dim=5, normalize=True)
    expected = embedder.embed_documents(TEXTS, truncate_dim=5, normalize=True)
    assert vectorizer.fit_transform(TEXTS).tobytes() == expected.tobytes()
    assert list(vectorizer.get_feature_names_out())[::4] == ["textvectorizer0", "textvectorizer4"]
    assert clone(vectorizer).fit(TEXTS)._embedder() is vectorizer._embedder()
    assert len(scikit_learn._loaded) == 1
    pickled = pickle.dumps(vectorizer)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).transform(TEXTS).tobytes() == expected.tobytes()  # noqa: S301  our own
    pipeline = make_pipeline(TextVectorizer(folder), LogisticRegression())
    search = GridSearchCV(pipeline, {"textvectorizer__prompt_name": [None, "query"]}, cv=2)
    labels = [0, 1, 1] * 4
    search.fit(TEXTS * 4, labels)
    prompt_name = search.best_params_["textvectorizer__prompt_name"]
    vectors = embedder.embed_documents(TEXTS * 4, prompt_name=prompt_name)
    expected = LogisticRegression().fit(vectors, labels).predict_proba(vectors)
    assert (search.predict_proba(TEXTS * 4) == expected).all()
    frame = vectorizer.set_output(transform="pandas").transform(TEXTS)
    assert frame.shape == (3, 5)
