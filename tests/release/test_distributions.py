"""The checks of an sdist and a wheel before they are published."""

from __future__ import annotations

import pytest
from release.distributions import IN_SDIST, ROOT, STATED, megabytes, sdist_problems, wheel_problems

SOURCES = ["pellucid/__init__.py", "pellucid/py.typed", "pellucid/explain/render/page/page.html"]
WHEEL = [*SOURCES, "pellucid/_native.abi3.so", "pellucid-0.1.0.dist-info/METADATA"]


def test_an_sdist_with_the_right_files_has_no_problems():
    assert sdist_problems([*IN_SDIST, "PKG-INFO", "docs/how/2-ids.md"]) == []


def test_a_missing_core_and_foreign_files_in_an_sdist_are_reported():
    names = [name for name in IN_SDIST if name != "native/CMakeLists.txt"]
    foreign = [".venv/lib/python/site-packages/numpy/tests/x.py", "benchmarks/results/a.json", "docs/how/tokens.png"]
    assert sdist_problems([*names, *foreign]) == [
        "the sdist lacks native/CMakeLists.txt",
        *(f"the sdist must not contain {name}" for name in foreign),
    ]


def test_a_wheel_with_all_sources_and_one_core_has_no_problems():
    assert wheel_problems(WHEEL, SOURCES) == []


def test_a_missing_page_a_missing_core_and_an_extra_test_in_a_wheel_are_reported():
    names = [name for name in WHEEL if not name.endswith((".html", ".so"))]
    assert wheel_problems([*names, "tests/tiny.py"], SOURCES) == [
        "the wheel lacks pellucid/explain/render/page/page.html",
        "the wheel has 0 compiled cores instead of one",
        "the wheel must not contain tests/tiny.py",
    ]


def test_the_size_of_a_distribution_is_that_of_the_disk_blocks_of_its_files_with_bytecode(tmp_path):
    for name, size in {"small": 1, "large": 10_000}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (tmp_path / f"{name}.py").write_bytes(b"#" * size)
        (tmp_path / f"{name}.pyc").write_bytes(b"#" * size)
        (info / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\nabsent.py,,\n")
    sizes = {name: round(size * 1e6) for name, size in megabytes(tmp_path).items()}
    assert list(sizes.items()) == [("large", 2 * 3 * 4096), ("small", 2 * 4096)]


@pytest.mark.parametrize("page", ["README.md", "RELEASING.md", "docs/index.md"])
def test_pages_state_the_size_that_is_checked(page):
    assert f"{STATED} MB" in (ROOT / page).read_text(encoding="utf-8")
