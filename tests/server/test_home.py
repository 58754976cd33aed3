from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from pellucid import __version__
from pellucid.server.http.page import home_page
from tests.explain.render.test_html import Elements

PARTS = [part for part in resources.files("pellucid").joinpath("server", "http", "page").iterdir() if part.is_file()]


def rules(policy: str) -> dict[str, str]:
    return dict(rule.strip().split(" ", 1) for rule in policy.split(";"))


def test_the_policy_allows_only_the_pages_own_scripts_and_its_own_server():
    content, policy = home_page()
    elements = Elements(content)

    def digests(tag):
        hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for _, text in elements.of(tag))
        return " ".join(f"'sha256-{digest}'" for digest in hashes)

    allowed = rules(policy)
    assert allowed == {
        "default-src": "'none'",
        "script-src": digests("script"),
        "style-src": digests("style"),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    (own,) = [meta["content"] for meta, _ in elements.of("meta") if "http-equiv" in meta]
    assert rules(own) == {name: rule for name, rule in allowed.items() if name != "frame-ancestors"}


def test_the_page_is_one_file_that_loads_nothing_else():
    content = home_page().content
    assert "{{" not in content
    assert f"Made by Pellucid {__version__}" in content
    for _, attributes, _ in Elements(content).found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
        for name in {"src", "href", "action", "srcset"} & attributes.keys():
            assert attributes[name].startswith(("data:", "#"))
    assert set(re.findall(r"https?://[\w./]+", content)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.w3.org/WAI/ARIA/apg/patterns/tabs/",
        "https://www.w3.org/TR/xml/",
    }


def test_the_scripts_never_read_text_as_html_and_store_nothing():
    assert len(PARTS) >= 7
    for part in PARTS:
        text = part.read_text(encoding="utf-8")
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert not re.findall(r"localStorage|sessionStorage|indexedDB|document\.cookie", text)
        assert "\r" not in text  # Browsers turn \r into \n, and the policy's hashes would not match.
