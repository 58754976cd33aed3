"""What is held against an sdist and a wheel before they are published."""

from __future__ import annotations

from release.distributions import IN_SDIST, megabytes, sdist_problems, wheel_problems

SOURCES = ["pellucid/__init__.py", "pellucid/py.typed", "pellucid/explain/render/page/page.html"]
WHEEL = [*SOURCES, "pellucid/_native.abi3.so", "pellucid-0.1.0.dist-info/METADATA"]


def test_an_sdist_of_what_it_takes_is_right():
    assert sdist_problems([*IN_SDIST, "PKG-INFO", "docs/how/2-ids.md"]) == []


def test_an_sdist_that_lacks_the_core_or_has_what_is_not_for_it_is_wrong():
    names = [name for name in IN_SDIST if name != "native/CMakeLists.txt"]
    foreign = [".venv/lib/python/site-packages/numpy/tests/x.py", "benchmarks/results/a.json", "docs/how/tokens.png"]
    assert sdist_problems([*names, *foreign]) == [
        "the sdist lacks native/CMakeLists.txt",
        *(f"the sdist has {name}" for name in foreign),
    ]


def test_a_wheel_of_all_sources_and_one_core_is_right():
    assert wheel_problems(WHEEL, SOURCES) == []


def test_a_wheel_that_lost_a_page_or_the_core_or_gained_a_test_is_wrong():
    names = [name for name in WHEEL if not name.endswith((".html", ".so"))]
    assert wheel_problems([*names, "tests/tiny.py"], SOURCES) == [
        "the wheel lacks pellucid/explain/render/page/page.html",
        "the wheel has 0 compiled cores; one is expected",
        "the wheel has tests/tiny.py",
    ]


def test_a_distribution_weighs_what_its_files_weigh_without_bytecode(tmp_path):
    for name, size in {"small": 1000, "large": 3000}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (tmp_path / f"{name}.py").write_bytes(b"#" * size)
        (tmp_path / f"{name}.pyc").write_bytes(b"#" * size)
        (info / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\nabsent.py,,\n")
    assert list(megabytes(tmp_path).items()) == [("large", 0.003), ("small", 0.001)]
