"""The three kinds of vectors of BGE-M3, by the formulas of FlagEmbedding in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.tiny_families import MAX_TOKENS


def live(folder: Path, texts: list[str]) -> list[tuple[np.ndarray, dict[int, float], np.ndarray]]:
    """The dense vector of each text, its weights by token id, and the vectors of its tokens."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    heads = {}
    for head in ("sparse_linear", "colbert_linear"):
        tensors = load_file(folder / f"{head}.safetensors")
        heads[head] = torch.nn.Linear(*reversed(tensors["weight"].shape))
        heads[head].load_state_dict(tensors)
    unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    found = []
    for text in texts:
        features = tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            states = model(**features).last_hidden_state[0]
            weights = torch.relu(heads["sparse_linear"](states)).squeeze(-1)
            vectors = torch.nn.functional.normalize(heads["colbert_linear"](states[1:]), dim=-1)
        lexical: dict[int, float] = {}
        for weight, number in zip(weights.tolist(), features["input_ids"][0].tolist(), strict=True):
            if number not in unused and weight > 0:
                lexical[number] = max(weight, lexical.get(number, 0.0))
        dense = torch.nn.functional.normalize(states[0], dim=-1)
        found.append((dense.numpy(), lexical, vectors.numpy()))
    return found
