"""THIRD_PARTY.md comes from the metadata of distributions, and lists every direct dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from release.third_party import closure, entries, licence, page

ROOT = Path(__file__).resolve().parents[2]


def item(name: str, *requires: str, **metadata: object) -> dict:
    return {"metadata": {"name": name, "requires_dist": list(requires), **metadata}}


REPORT = {
    "install": [
        item("Alpha", "beta[fast]>=1", 'gamma; python_version < "3"', license_expression="MIT"),
        item("beta", 'delta; extra == "fast"', 'epsilon; extra == "slow"', license="Apache 2.0"),
        item("delta", "Alpha", classifier=["License :: OSI Approved :: BSD License", "Topic :: Other"]),
        item("epsilon"),
    ]
}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"license_expression": "MIT OR Apache-2.0", "license": "something else"}, "MIT OR Apache-2.0"),
        ({"license": "Apache 2.0"}, "Apache-2.0"),
        ({"license": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"license": "=====\nThe licence of it", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"license": "Copyright (c) 2015, some people\nRedistribution and use"}, "not stated"),
        ({}, "not stated"),
    ],
)
def test_the_licence_is_the_one_that_the_distribution_states(metadata, expected):
    assert licence(metadata) == expected


def test_the_closure_follows_extras_and_markers_and_stops_at_circles():
    resolved = entries(REPORT)
    assert closure([Requirement("alpha")], resolved) == {"alpha", "beta", "delta"}
    assert closure([Requirement("beta")], resolved) == {"beta"}
    assert closure([Requirement("beta[slow]")], resolved) == {"beta", "epsilon"}


def test_an_extra_lists_only_the_distributions_that_it_adds():
    always, extra = page(["beta"], {"quick": ["alpha"]}, entries(REPORT)).split("## With `pellucid[quick]`")
    assert "| beta | Apache-2.0 |" in always
    assert "Alpha" not in always
    assert "| Alpha | MIT |" in extra
    assert "| delta | BSD |" in extra
    assert "| beta |" not in extra


def names(section: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^\| (\S+) \|", section, re.MULTILINE)}


def test_the_committed_page_lists_every_direct_dependency_in_its_section():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always, *sections = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8").split("## With `pellucid[")
    extras = {section.partition("]")[0]: section for section in sections}
    direct = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert direct <= names(always), "run: make licences"
    assert set(extras) == set(project["optional-dependencies"]), "run: make licences"
    for extra, texts in project["optional-dependencies"].items():
        required = {canonicalize_name(Requirement(text).name) for text in texts}
        assert required <= names(extras[extra]) | names(always), f"{extra}: run: make licences"
