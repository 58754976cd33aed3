"""The site: Sphinx, MyST for Markdown, and furo. Nothing of it is fetched when it is built or read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes

from pellucid import __version__, errors

project = "Pellucid"
copyright = "the Pellucid authors"  # noqa: A001  # Sphinx's name for it
version = release = __version__
html_title = f"Pellucid {__version__}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["__pycache__"]

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
suppress_warnings = ["myst.strikethrough"]

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 72
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|collections|pathlib|os|datetime)\..*"),  # whose own documentation is not fetched
    ("py:class", r"Dtype|EngineName|OnTruncation|dict\[str"),  # names for what the text beside them lists
    # What is named and is not public.
    ("py:.*", r"pellucid\.(model\.weights|search\.store|pooling|embedder\.Embedder)(\..*)?"),
]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "footer_icons": [],
    # The colours of `pellucid explain --html`.
    "light_css_variables": {"color-brand-primary": "#10708f", "color-brand-content": "#10708f"},
    "dark_css_variables": {"color-brand-primary": "#6cc6de", "color-brand-content": "#6cc6de"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# What a reader copies of a session is the command, without its "$" and without what it printed.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"


def setup(app: Any) -> None:
    """Sphinx's door for what the settings above cannot say."""
    app.connect("source-read", _name_what_is_elsewhere)
    app.connect("autodoc-process-docstring", _for_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("missing-reference", _to_its_cure)


def _name_what_is_elsewhere(app: Any, page: str, source: list[str]) -> None:
    """Links to Markdown outside of ``docs`` lead nowhere on the site: there the file is named instead."""
    folder = (Path(app.srcdir) / page).parent

    def named(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        if target.is_relative_to(app.srcdir):
            return link[0]
        return f"`{target.relative_to(Path(app.srcdir).parent)}` in the repository"

    source[0] = re.sub(r"\[[^\]]+\]\((?P<target>[^)#:]+\.md)\)", named, source[0])


def _for_napoleon(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking all but the last of several names for its type."""
    for number, line in enumerate(lines):
        if re.match(r" +[a-z]\w*(, [a-z]\w*)+:", line):
            names, colon, rest = line.partition(":")
            lines[number] = names.replace(", ", ",\u200b") + colon + rest


def _after_napoleon(_app: Any, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Of an attribute, napoleon takes what stands before the first colon for its type: put it back."""
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "data", "property") and types:
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0]}"


def _to_its_cure(app: Any, _env: Any, node: Any, shown: Any) -> Any:
    """The name of an error, wherever it stands, leads to its section on the page of errors."""
    name = node["reftarget"].rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in vars(errors):
        return None
    page = app.builder.get_relative_uri(node["refdoc"], "errors")
    return nodes.reference("", "", shown, refuri=f"{page}#{name.lower()}", internal=True)
