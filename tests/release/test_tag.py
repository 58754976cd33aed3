"""A tag is published only if the package and the changelog say the same."""

from __future__ import annotations

from release.tag import tag_problem

PACKAGE = '"""Doc."""\n\n__version__ = "1.2.3"\n'


def test_a_tag_of_the_version_with_a_dated_heading_is_right():
    assert tag_problem("v1.2.3", PACKAGE, "# Changelog\n\n## [1.2.3] - 2026-11-25\n") is None


def test_another_tag_an_undated_heading_and_a_missing_version_are_wrong():
    dated = "## [1.2.3] - 2026-11-25\n"
    assert "says 1.2.3; tag v1.2.3" in tag_problem("v1.2.4", PACKAGE, dated)
    assert "date the release" in tag_problem("v1.2.3", PACKAGE, "## [1.2.3] - unreleased\n")
    assert "date the release" in tag_problem("v1.2.3", PACKAGE, "## [1x2.3] - 2026-11-25\n")
    assert "no line __version__" in tag_problem("v1.2.3", "", dated)
