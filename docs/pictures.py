"""Makes the pictures of the pages in ``docs/pictures/``: ``python -m docs.pictures``.

It needs Playwright and Chromium, as ``make test-browser`` does, and two models, which it fetches: all-MiniLM-L6-v2, and
the small SPLADE model of the tests. Fonts differ between machines, so no test compares the pictures. Make them again
when a page has changed; ``python -m docs.pictures alignment`` makes one.
"""

from __future__ import annotations

import json
import shutil
import string
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import launched
from tests.explain.test_text_map import TOPICS
from tests.real_splade import splade_folder

from pellucid import Embedder, MultiVectorEmbedder, SparseEmbedder
from pellucid.explain.render.html import page
from pellucid.explain.text_map import text_map

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 760
HEIGHTS = {"explain": 1290, "map": 980, "sparse": 1180, "alignment": 1290}
TEXTS = (*TOPICS[:4], *TOPICS[8:])


def main(names: list[str]) -> None:
    """Make the pictures of these names, or every one, light and dark."""
    embedder = Embedder("all-MiniLM-L6-v2")
    with launched() as browser, tempfile.TemporaryDirectory() as folder:
        late = MultiVectorEmbedder(write_late_interaction(embedder, Path(folder) / "MiniLM token vectors"))
        subjects: dict[str, Any] = {
            "explain": embedder.compare("How do I reset my password?", "I forgot my login credentials"),
            "map": text_map(embedder.encoder, TEXTS),
            "sparse": SparseEmbedder(shutil.copytree(splade_folder(), Path(folder) / "splade-tiny")).explain(
                "weather in New York", "Haven't you heard? It will be warm and sunny in Manhattan all week."
            ),
            "alignment": late.explain(
                "How do I reset my password?",
                "To choose a new one, open Settings and press “Forgot my password”. We send you a link by e-mail.",
            ),
        }
        subjects = {name: subjects[name] for name in names or subjects}
        for name, subject in subjects.items():
            path = Path(folder) / f"{name}.html"
            path.write_text(page(subject), encoding="utf-8")
            for scheme, suffix in (("light", ""), ("dark", "-dark")):
                context = browser.new_context(
                    viewport={"width": WIDTH, "height": HEIGHTS[name]}, color_scheme=scheme, device_scale_factor=2
                )
                opened = context.new_page()
                opened.goto(path.as_uri())
                opened.wait_for_selector("main[data-ready]", state="attached")
                opened.screenshot(path=PICTURES / f"{name}{suffix}.png")
                context.close()


def write_late_interaction(embedder: Embedder, folder: Path) -> Path:
    """A model that gives each token its own vector, with the weights of an embedder.

    It was not trained for that, so its scores are worse than those of a model such as ColBERT. But what a token finds
    is what the embedder takes for similar.
    """
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedder.files.folder / name, folder / name)
    words: dict[str, Any] = {"skiplist_words": list(string.punctuation), "skiplist_tasks": ["document"]}
    of_tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    modules: list[tuple[str, str, dict[str, Any]]] = [
        ("", "base.modules.transformer.Transformer", {}),
        ("1_MultiVectorMask", "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask", words),
        ("2_Normalize", "base.modules.normalize.Normalize", of_tokens),
    ]
    for path, _, config in modules[1:]:
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.{kind}"}
        for number, (path, kind, _) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries), encoding="utf-8")
    settings = {"model_type": "MultiVectorEncoder", "similarity_fn_name": "maxsim"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main(sys.argv[1:])
