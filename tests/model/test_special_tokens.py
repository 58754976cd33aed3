from __future__ import annotations

import pytest

from pellucid.model.special_tokens import named_tokens
from pellucid.sources.resolve import resolve
from tests import tiny


@pytest.mark.parametrize(
    ("config", "special", "expected"),
    [
        ("<m>", None, ["<m>"]),
        ({"content": "<m>", "lstrip": True}, "<n>", ["<m>", "<n>"]),
        (None, {"content": "<n>"}, ["<n>"]),
        (None, None, []),
        (7, ["<n>"], []),
    ],
)
def test_both_files_may_name_a_token(tmp_path, config, special, expected):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "tokenizer_config.json", mask_token=config)
    tiny.write_json(folder / "special_tokens_map.json", {"mask_token": special})
    assert named_tokens(resolve(folder), "", "mask_token") == expected


def test_a_tokenizer_may_have_no_such_files(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    (folder / "tokenizer_config.json").unlink()
    assert named_tokens(resolve(folder), "", "mask_token") == []
