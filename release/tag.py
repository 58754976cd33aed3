"""Whether a tag may be published: ``python release/tag.py v1.2.3``, in the workflow of wheels, before all else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def tag_problem(tag: str, package: str, changelog: str) -> str | None:
    """What is wrong with a tag, given the text of ``__init__.py`` and of the changelog; None if nothing is."""
    found = VERSION.search(package)
    if not found:
        return 'src/pellucid/__init__.py has no line __version__ = "…".'
    version = found[1]
    if tag != f"v{version}":
        return f"The tag is {tag}, but src/pellucid/__init__.py says {version}; tag v{version}, or change the version."
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'; date the release."
    return None


if __name__ == "__main__":
    package_file, changelog_file = ROOT / "src" / "pellucid" / "__init__.py", ROOT / "CHANGELOG.md"
    texts = (path.read_text(encoding="utf-8") for path in (package_file, changelog_file))
    sys.exit(tag_problem(sys.argv[1], *texts))
