from __future__ import annotations

import pytest
from docs.blocks import blocks

PAGE = """# A page

```python
x = 1
```

<!-- not run: it is another library's code -->
```python
import another
```

<!-- needs: ray, pyspark -->
```python
import ray
```

```console
$ pip install pellucid
$ pellucid embed "a text" \\
    --json
{"index": 0}
…
```

```console
$ make run
```

```
bare
```
"""


def test_blocks_are_found_with_their_comments():
    found = blocks(PAGE)
    assert [block.language for block in found] == ["python", "python", "python", "console", "console", ""]
    assert [block.line for block in found] == [3, 8, 13, 17, 25, 29]
    assert [block.not_run for block in found] == ["", "it is another library's code", "", "", "", ""]
    assert [block.needs for block in found] == [(), (), ("ray", "pyspark"), (), (), ()]
    assert [block.runs for block in found] == [True, False, True, True, False, False]
    assert all(PAGE[block.start :].startswith(block.code) for block in found)


def test_a_console_block_has_commands_and_their_output():
    assert blocks(PAGE)[3].commands == (
        ("pip install pellucid", ""),
        ('pellucid embed "a text" \\\n    --json', '{"index": 0}\n…\n'),
    )


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        ("pellucid models", True),
        ("cat texts.txt | pellucid embed --json", True),
        (".venv/bin/pellucid models", True),
        ("ls && pellucid models", True),
        ("pip install pellucid", False),
        ("pip install 'pellucid[search]'", False),
        ("cd pellucid", False),
    ],
)
def test_commands_that_call_pellucid_are_found(command, calls):
    assert blocks(f"```console\n$ {command}\n```\n")[0].calls_pellucid == calls


def test_a_comment_counts_only_on_the_line_before_the_block():
    (block,) = blocks("<!-- not run: it is too far away -->\n\n```python\nx\n```\n")
    assert block.runs
