"""BERTopic: subjects of texts. Its usual UMAP is replaced, because it enlarges differences of rounding."""

from __future__ import annotations

import json
import sys

from bertopic import BERTopic
from bertopic.representation import KeyBERTInspired
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from tests.programs.texts import QUERY, TEXTS

model = BERTopic(
    embedding_model=sys.argv[1],
    umap_model=PCA(n_components=5, random_state=0),
    hdbscan_model=KMeans(n_clusters=5, random_state=0, n_init=5),
    representation_model=KeyBERTInspired(random_state=0),
)
topics, _ = model.fit_transform(TEXTS)
found, similarities = model.find_topics(QUERY, top_n=2)
results = {
    "topics": [int(topic) for topic in topics],
    "words": {str(topic): [word for word, _ in words] for topic, words in model.get_topics().items()},
    "found": [int(topic) for topic in found],
    "similarities": [float(each) for each in similarities],
}
print(json.dumps(results))
