"""Write THIRD_PARTY.md: every distribution that Pellucid and its extras bring, and its licence.

``make licences`` runs this. pip resolves all extras together and tells each distribution's metadata, without installing
any of them (pip's installation report, version 1); the licences are what the distributions say of themselves.
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
SHORT = {
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
"""SPDX identifiers of what distributions wrote before there was License-Expression."""

SPDX = re.compile(r"[A-Za-z0-9.+-]*[A-Za-z][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
"""An identifier, or an expression of some. What is neither is a title, or the beginning of the licence itself."""

HEAD = """# Third-party licences

Pellucid is under the [MIT licence](LICENSE), and its wheels hold nothing but its own code. These are the distributions
that pip installs beside it, with the licences that they state of themselves. `make licences` writes this page, from
what the newest versions say; which versions a release was tested with stands in its SBOM (`make sbom`).

nanobind (BSD-3-Clause) is compiled into the core. PyTorch is listed as it comes to Linux from PyPI, with libraries that
are under NVIDIA's own terms; its builds for the CPU do without them.
"""


@dataclass(frozen=True)
class Entry:
    """A distribution, its licence, and what it requires."""

    name: str
    licence: str
    requires: tuple[Requirement, ...]


def licence(metadata: Mapping[str, Any]) -> str:
    """The licence in a distribution's metadata: its SPDX expression, or its short name, or its classifiers."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    prefix = "License :: OSI Approved :: "
    classified = [value.removeprefix(prefix) for value in metadata.get("classifier", []) if value.startswith(prefix)]
    written = str(metadata.get("license") or "").strip().partition("\n")[0]
    if SPDX.fullmatch(SHORT.get(written, written)):
        return SHORT.get(written, written)
    return " AND ".join(SHORT.get(name, name) for name in classified) or "not stated"


def entries(report: Mapping[str, Any]) -> dict[str, Entry]:
    """The distributions in pip's installation report, by normalised name."""
    found: dict[str, Entry] = {}
    for item in report["install"]:
        metadata = item["metadata"]
        requires = tuple(Requirement(text) for text in metadata.get("requires_dist", []))
        found[canonicalize_name(metadata["name"])] = Entry(metadata["name"], licence(metadata), requires)
    return found


def closure(wanted: Iterable[Requirement], known: Mapping[str, Entry]) -> set[str]:
    """The normalised names of what ``wanted`` brings, itself included. What ``known`` lacks is for other machines."""
    seen: set[tuple[str, str]] = set()
    open_ends = [(requirement, "") for requirement in wanted]
    while open_ends:
        requirement, extra = open_ends.pop()
        name = canonicalize_name(requirement.name)
        if name not in known or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        for each in ["", *sorted(requirement.extras)]:
            if (name, each) not in seen:
                seen.add((name, each))
                open_ends += [(further, each) for further in known[name].requires]
    return {name for name, _ in seen}


def table(names: Iterable[str], known: Mapping[str, Entry]) -> str:
    """A table of these distributions, in the order of their names."""
    rows = sorted((known[name] for name in names), key=lambda entry: entry.name.lower())
    return "\n".join(["| distribution | licence |", "|---|---|", *(f"| {row.name} | {row.licence} |" for row in rows)])


def page(core: Sequence[str], extras: Mapping[str, Sequence[str]], known: Mapping[str, Entry]) -> str:
    """The text of THIRD_PARTY.md."""
    always = closure(map(Requirement, core), known)
    parts = [HEAD, f"## Always\n\n{table(always, known)}\n"]
    for extra, requirements in sorted(extras.items()):
        more = closure(map(Requirement, requirements), known) - always
        parts.append(f"## With `pellucid[{extra}]`, beside these\n\n{table(more, known)}\n")
    return "\n".join(parts)


def resolve(requirements: Iterable[str]) -> dict[str, Any]:
    """Have pip resolve requirements as if nothing were installed; its report."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", str(file)]
        subprocess.run([sys.executable, "-P", "-m", "pip", "install", *options, *requirements], check=True)
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if not re.fullmatch(r"1(\..*)?", str(report["version"])):
        raise SystemExit(f"pip's report is of version {report['version']}; this script reads version 1.")
    return report


def main() -> None:
    """Write the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    known = entries(resolve([*core, *(text for texts in extras.values() for text in texts)]))
    (ROOT / "THIRD_PARTY.md").write_text(page(core, extras, known), encoding="utf-8")


if __name__ == "__main__":
    main()
