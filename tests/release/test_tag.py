"""A tag is published only if the package and the changelog have the same version."""

from __future__ import annotations

from release.tag import tag_problem

PACKAGE = '"""Doc."""\n\n__version__ = "1.2.3"\n'


def test_a_tag_with_the_version_and_a_dated_heading_is_accepted():
    assert tag_problem("v1.2.3", PACKAGE, "# Changelog\n\n## [1.2.3] - 2026-11-25\n") is None


def test_a_different_tag_an_undated_heading_and_a_missing_version_are_refused():
    dated = "## [1.2.3] - 2026-11-25\n"
    assert "says 1.2.3. Tag v1.2.3" in tag_problem("v1.2.4", PACKAGE, dated)
    assert "Add the date" in tag_problem("v1.2.3", PACKAGE, "## [1.2.3] - unreleased\n")
    assert "Add the date" in tag_problem("v1.2.3", PACKAGE, "## [1x2.3] - 2026-11-25\n")
    assert "no line __version__" in tag_problem("v1.2.3", "", dated)
