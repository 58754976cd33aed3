"""Check that a tag matches the version and the changelog: ``python release/tag.py v1.2.3``.

The workflow *Wheels* runs this before it builds the sdist.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def tag_problem(tag: str, package: str, changelog: str) -> str | None:
    """Why a tag must not be published, or None if it may.

    Args:
        tag: the tag's name.
        package: the text of ``__init__.py``.
        changelog: the text of the changelog.
    """
    found = VERSION.search(package)
    if not found:
        return 'src/pellucid/__init__.py has no line __version__ = "…".'
    version = found[1]
    if tag != f"v{version}":
        return f"The tag is {tag}, but src/pellucid/__init__.py says {version}. Tag v{version}, or change the version."
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'. Add the date of the release."
    return None


if __name__ == "__main__":
    package_file, changelog_file = ROOT / "src" / "pellucid" / "__init__.py", ROOT / "CHANGELOG.md"
    texts = (path.read_text(encoding="utf-8") for path in (package_file, changelog_file))
    sys.exit(tag_problem(sys.argv[1], *texts))
