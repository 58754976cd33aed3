"""Write THIRD_PARTY.md: every distribution that Pellucid and its extras install, and its licence.

``make licences`` runs this. pip resolves all extras together and reports each distribution's metadata, without
installing any of them (pip's installation report, version 1). The licences are those that the distributions state.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SPDX_OF_NAME = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
"""The SPDX identifiers of licence names that distributions used before the field License-Expression existed."""

SPDX = re.compile(r"[A-Za-z0-9.+-]*[A-Za-z][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
"""An SPDX identifier, or an expression of several. Any other value is a title, or the start of the licence's text."""

HEAD = """# Third-party licences

Pellucid has the [MIT licence](LICENSE), and its wheels contain only its own code. This page lists the distributions
that pip installs with it, and the licences that they state. `make licences` writes this page from the metadata of the
newest versions. The SBOM of a release (`make sbom`) lists the versions that it was tested with.

nanobind (BSD-3-Clause) is compiled into the core. PyTorch is listed as PyPI has it for Linux, with libraries under
NVIDIA's own terms. PyTorch's builds for the CPU do not need those.
"""


@dataclass(frozen=True)
class Entry:
    """A distribution, its licence and its requirements."""

    name: str
    licence: str
    requires: tuple[Requirement, ...]


def licence(metadata: Mapping[str, Any]) -> str:
    """The licence that a distribution's metadata states.

    It is taken from the field for SPDX expressions, or else from the field for the licence's name or text, or else from
    the classifiers.
    """
    if expression := metadata.get("license_expression"):
        return str(expression)
    prefix = "License :: OSI Approved :: "
    classified = [value.removeprefix(prefix) for value in metadata.get("classifier", []) if value.startswith(prefix)]
    written = str(metadata.get("license") or "").strip().partition("\n")[0]
    if SPDX.fullmatch(SPDX_OF_NAME.get(written, written)):
        return SPDX_OF_NAME.get(written, written)
    return " AND ".join(SPDX_OF_NAME.get(name, name) for name in classified) or "not stated"


def entries(report: Mapping[str, Any]) -> dict[str, Entry]:
    """The distributions in pip's installation report, by normalised name."""
    found: dict[str, Entry] = {}
    for item in report["install"]:
        metadata = item["metadata"]
        requires = tuple(Requirement(text) for text in metadata.get("requires_dist", []))
        found[canonicalize_name(metadata["name"])] = Entry(metadata["name"], licence(metadata), requires)
    return found


def closure(requirements: Iterable[Requirement], resolved: Mapping[str, Entry]) -> set[str]:
    """The normalised names of all distributions that ``requirements`` install, dependencies included.

    Args:
        requirements: the direct requirements.
        resolved: the distributions that pip resolved, by normalised name. Any other one is for other platforms, and
            left out.
    """
    seen: set[tuple[str, str]] = set()
    pending = [(requirement, "") for requirement in requirements]
    while pending:
        requirement, extra = pending.pop()
        name = canonicalize_name(requirement.name)
        if name not in resolved or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        for requested_extra in ["", *sorted(requirement.extras)]:
            if (name, requested_extra) not in seen:
                seen.add((name, requested_extra))
                pending += [(dependency, requested_extra) for dependency in resolved[name].requires]
    return {name for name, _ in seen}


def table(names: Iterable[str], resolved: Mapping[str, Entry]) -> str:
    """A Markdown table of these distributions and their licences, sorted by name."""
    rows = sorted((resolved[name] for name in names), key=lambda entry: entry.name.lower())
    return "\n".join(["| distribution | licence |", "|---|---|", *(f"| {row.name} | {row.licence} |" for row in rows)])


def page(core: Sequence[str], extras: Mapping[str, Sequence[str]], resolved: Mapping[str, Entry]) -> str:
    """The text of THIRD_PARTY.md."""
    always = closure(map(Requirement, core), resolved)
    parts = [HEAD, f"## Always\n\n{table(always, resolved)}\n"]
    for extra, requirements in sorted(extras.items()):
        added = closure(map(Requirement, requirements), resolved) - always
        parts.append(f"## With `pellucid[{extra}]`, in addition\n\n{table(added, resolved)}\n")
    return "\n".join(parts)


def resolve(requirements: Iterable[str]) -> dict[str, Any]:
    """Let pip resolve requirements as if nothing were installed, and return its installation report."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", str(file)]
        subprocess.run([sys.executable, "-P", "-m", "pip", "install", *options, *requirements], check=True)
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if not re.fullmatch(r"1(\..*)?", str(report["version"])):
        raise SystemExit(f"pip's report has version {report['version']}, but this script reads only version 1.")
    return report


def main() -> None:
    """Write THIRD_PARTY.md."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    resolved = entries(resolve([*core, *(text for texts in extras.values() for text in texts)]))
    (ROOT / "THIRD_PARTY.md").write_text(page(core, extras, resolved), encoding="utf-8")


if __name__ == "__main__":
    main()
