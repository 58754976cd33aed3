"""A small Hugging Face Hub on the loopback interface, for tests with the real ``huggingface_hub``.

It serves folders as model repositories. It can fail as a network does: cut off a transfer, stall, or change bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

LFS = (".safetensors", ".bin", ".onnx", ".h5", ".ot")


@dataclass
class Hub:
    """The server. Tests may change its attributes while it runs.

    Attributes:
        repositories: the served folders, by repository and revision.
        token: if set, every request must send this token.
        cut_after: by file, the number of bytes after which every transfer is cut off.
        stall: by file, the number of bytes after which the transfer stalls.
        changed: files that are sent with a changed byte, so their digests are wrong.
        outside_lfs: weights that are stored in git itself. The Hub has git's id for them, and no SHA-256.
        etags: by file, a false ETag to send.
        requests: the method, path and Range header of each request so far.
        sent: by file, the number of bytes sent.
        stalled: set when a transfer has stalled.
        closing: set when the server closes, which ends the stalled transfers.
    """

    repositories: Mapping[str, Mapping[str, Path]]
    token: str | None = None
    cut_after: dict[str, int] = field(default_factory=dict)
    stall: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    outside_lfs: set[str] = field(default_factory=set)
    etags: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def requested_files(self) -> set[str]:
        """The files whose content was requested."""
        matches = (
            re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)", path)
            for method, path, _ in self.requests
            if method == "GET"
        )
        return {match[1] for match in matches if match}


def commit_of(folder: Path) -> str:
    """A commit hash for the content of a folder: 40 hexadecimal digits, which change when the content changes."""
    return hashlib.sha256(json.dumps(tree_of(folder)).encode()).hexdigest()[:40]


def tree_of(folder: Path) -> list[dict[str, Any]]:
    """All files of a folder, in the form of the Hub's API."""
    return [
        _entry(path, path.relative_to(folder).as_posix(), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


@functools.cache
def _entry(path: Path, name: str, _modified: int, size: int) -> dict[str, Any]:
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": name, "size": size, "oid": blob}
    if path.suffix in LFS:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
    return entry


class _Handler(BaseHTTPRequestHandler):
    server_hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        hub, path = self.server_hub, self.path.partition("?")[0]
        hub.requests.append((self.command, path, self.headers.get("Range")))
        if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._send(401, {"error": "Invalid username or password."}, body, {"X-Error-Code": "RepoNotFound"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+?))?", path):
            return self._repository(match[1], match[2] or "main", body)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?", path):
            folder = self._folder(match[1], match[2])
            return self._send(200, self._tree(folder), body) if folder else self._missing(match[1], body)
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(*match.groups(), body=body)
        return self._send(404, {"error": "no such page"}, body)

    def _folder(self, repository: str, revision: str) -> Path | None:
        for name, folder in self.server_hub.repositories.get(repository, {}).items():
            if revision in (name, commit_of(folder)):
                return folder
        return None

    def _tree(self, folder: Path) -> list[dict[str, Any]]:
        outside = self.server_hub.outside_lfs
        return [
            {key: value for key, value in entry.items() if key != "lfs" or entry["path"] not in outside}
            for entry in tree_of(folder)
        ]

    def _missing(self, repository: str, body: bool) -> None:
        exists = repository in self.server_hub.repositories
        code = "RevisionNotFound" if exists else "RepoNotFound"
        self._send(404 if exists else 401, {"error": "not found"}, body, {"X-Error-Code": code})

    def _repository(self, repository: str, revision: str, body: bool) -> None:
        folder = self._folder(repository, revision)
        if folder is None:
            return self._missing(repository, body)
        siblings = [{"rfilename": entry["path"]} for entry in tree_of(folder)]
        return self._send(200, {"id": repository, "sha": commit_of(folder), "siblings": siblings}, body)

    def _file(self, repository: str, revision: str, name: str, *, body: bool) -> None:
        hub, folder = self.server_hub, self._folder(repository, revision)
        if folder is None:
            return self._missing(repository, body)
        entry = next((entry for entry in self._tree(folder) if entry["path"] == name), None)
        if entry is None:
            return self._send(404, {"error": "not found"}, body, {"X-Error-Code": "EntryNotFound"})
        content = (folder / name).read_bytes()
        if name in hub.changed:
            content = content[:-1] + bytes([content[-1] ^ 1])
        digest = hub.etags.get(name, entry["lfs"]["oid"] if "lfs" in entry else entry["oid"])
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1]) if body and "Range" in self.headers else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for key, value in {"ETag": f'"{digest}"', "X-Repo-Commit": commit_of(folder), "Accept-Ranges": "bytes"}.items():
            self.send_header(key, value)
        if "lfs" in entry:
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if body:
            self._send_content(name, content[start:])
        return None

    def _send_content(self, name: str, content: bytes) -> None:
        hub = self.server_hub
        limit = min(hub.cut_after.get(name, len(content)), hub.stall.get(name, len(content)))
        hub.sent[name] = hub.sent.get(name, 0) + min(limit, len(content))
        try:
            self.wfile.write(content[:limit])
            self.wfile.flush()
        except OSError:
            return
        if name in hub.stall:
            hub.stalled.set()
            hub.closing.wait()
        if limit < len(content):
            self.close_connection = True

    def _send(self, status: int, value: Any, body: bool, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        if body:
            self.wfile.write(content)


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Environment variables as on a machine without downloads: its home folder is ``home``.

    Variables that configure the Hub are removed, except those in ``settings``.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "HUGGINGFACE", "SENTENCE", "XDG_"))
    }
    root = Path(__file__).parents[1]
    return {
        **inherited,
        "HOME": str(home),
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "HF_HUB_DISABLE_XET": "1",
        **settings,
    }


def python(code: str, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new process."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
