"""Configures Sphinx, which makes the site, with MyST for Markdown and notebooks and the theme furo.

Neither building nor reading the site fetches anything from the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docs.notebooks import NOTEBOOKS, for_site
from docutils import nodes
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

from pellucid import __version__, errors

project = "Pellucid"
copyright = "the Pellucid authors"  # noqa: A001  # Sphinx's name for it
version = release = __version__
html_title = f"Pellucid {__version__}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["__pycache__"]

myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "html_image"]  # An <img> can have a class, such as only-light.
suppress_warnings = ["myst.strikethrough"]
nb_execution_mode = "off"  # The notebooks have their outputs, from `make docs`.
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["chromadb", "haystack", "llama_index", "sklearn"]  # `make site` does without them
python_maximum_signature_line_length = 72
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|collections|pathlib|os|datetime)\..*"),  # Their documentation is not fetched.
    # The text beside these names lists their values.
    ("py:class", r"AnySide|Dtype|EngineName|Kind|OnTruncation|dict\[str"),
    ("py:class", r"pellucid\..*\.Result"),  # A type variable.
    ("py:class", r"pyarrow\..*|arrow\..*|pellucid\.search\.lance\.Found"),
    ("py:class", r".*csr_array|.*\.SparseFinish"),  # SciPy's documentation is not fetched; and a base class.
    (
        "py:class",
        r"pellucid\.(layers\.(dense|norms|rotary)|model\.spec\.(Chat|TokenMask|TokenPooling|LateInteraction)Spec).*",
    ),
    ("py:mod", r"pellucid\.(layers\.vocabulary|text\.model2vec)"),
    # The pages refer to these, but they are not public.
    (
        "py:.*",
        r"pellucid\.(model\.weights|search\.store|pooling|embedder\.Embedder|task|batch\.options|text\.(pairs|chat))(\..*)?",
    ),
]

html_theme = "furo"
html_static_path = ["static"]
html_logo = html_favicon = "pictures/logo/pellucid.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "footer_icons": [],
    # The colours of the pages of `pellucid explain`.
    "light_css_variables": {"color-brand-primary": "#10708f", "color-brand-content": "#10708f"},
    "dark_css_variables": {"color-brand-primary": "#6cc6de", "color-brand-content": "#6cc6de"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"  # Not on what code prints.
# The copy button on a session copies the commands, without their "$" and without the output.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"


def setup(app: Any) -> None:
    """Sphinx calls this. It registers the functions below."""
    app.connect("config-inited", _copy_notebooks)
    app.connect("source-read", _replace_links_outside_docs)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("autodoc-process-signature", _signature_of_init)
    app.connect("missing-reference", _link_error_to_its_section)


def _copy_notebooks(app: Any, _config: Any) -> None:
    """Copy the notebooks of ``examples`` to where Sphinx finds pages. Git ignores the copies."""
    for path in NOTEBOOKS:
        copied, content = Path(app.srcdir) / path.name, for_site(path)
        if not copied.exists() or copied.read_text(encoding="utf-8") != content:
            copied.write_text(content, encoding="utf-8")


def _replace_links_outside_docs(app: Any, page: str, source: list[str]) -> None:
    """Replace links to files that the site does not have: of a notebook by its copy, of Markdown by the file's name."""
    folder = (Path(app.srcdir) / page).parent

    def replace(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        if target.is_relative_to(app.srcdir):
            return link[0]
        if target in NOTEBOOKS:
            return f"[{link['text']}]({os.path.relpath(Path(app.srcdir) / target.name, folder)})"
        return f"`{target.relative_to(Path(app.srcdir).parent)}` in the repository"

    source[0] = re.sub(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)#:]+\.(?:md|ipynb))\)", replace, source[0])


def _before_napoleon(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Join several names before a colon, as in ``a, b: text``. Otherwise napoleon takes all but the last for a type."""
    for number, line in enumerate(lines):
        if re.match(r" +[a-z]\w*(, [a-z]\w*)+:", line):
            names, colon, rest = line.partition(":")
            lines[number] = names.replace(", ", ",\u200b") + colon + rest


def _after_napoleon(_app: Any, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Put back what napoleon takes for the type of an attribute: the docstring's text before the first colon."""
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "data", "property") and types:
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0]}"


def _signature_of_init(
    _app: Any, what: str, _name: str, documented: Any, _options: Any, signature: str, _returns: Any
) -> tuple[str, str] | None:
    """Show the parameters of ``__init__`` for a class whose base is mocked. The mock hides them."""
    if what != "class" or signature != "(*args: Any, **kwargs: Any)":
        return None
    parameters = signature_of(documented.__init__, bound_method=True)
    return stringify_signature(parameters, show_return_annotation=False, unqualified_typehints=True), ""


def _link_error_to_its_section(app: Any, _env: Any, node: Any, content: Any) -> Any:
    """Make the name of an error a link to its section on the page of errors."""
    name = node["reftarget"].rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in vars(errors):
        return None
    page = app.builder.get_relative_uri(node["refdoc"], "errors")
    return nodes.reference("", "", content, refuri=f"{page}#{name.lower()}", internal=True)
