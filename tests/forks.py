"""New processes that have imported Pellucid already: copies of one that has done nothing else.

The import takes most of the time of a short process. It reads no environment and opens no file (``test_import.py``), so
a copy differs from a process that begins with the import only in its speed.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests import hub_server

_MAX_SECONDS = 120
_ORIGINAL = f"""
import json, os, signal, sys
from pellucid import Embedder

def redirect(number, path, flags):
    file = os.open(path, flags, 0o600)
    os.dup2(file, number)
    os.close(file)

for line in sys.stdin:
    request = json.loads(line)
    copy = os.fork()
    if not copy:
        break
    _, status = os.waitpid(copy, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
else:
    sys.exit()
signal.alarm({_MAX_SECONDS})
os.environ.clear()
os.environ.update(request["env"])
sys.argv = ["-c", *request["arguments"]]
redirect(0, os.devnull, os.O_RDONLY)
redirect(1, request["stdout"], os.O_WRONLY)
redirect(2, request["stderr"], os.O_WRONLY)
exec(compile(request["code"], "<string>", "exec"), {{"__name__": "__main__"}})
"""


def python(code: str, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new process that has imported Pellucid. A process that takes two minutes is killed.

    Elsewhere than on Linux, it is an ordinary process: a copy may not use all of a system's libraries there.
    """
    if sys.platform != "linux":
        return hub_server.python(code, env, *arguments)
    original = _original()
    assert original.stdin is not None
    assert original.stdout is not None
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        request = {"code": code, "env": dict(env), "arguments": arguments, "stdout": out.name, "stderr": err.name}
        original.stdin.write(json.dumps(request) + "\n")
        original.stdin.flush()
        status = int(original.stdout.readline())
        texts = [Path(file.name).read_text(encoding="utf-8") for file in (out, err)]
    return subprocess.CompletedProcess([sys.executable, "-c", code, *arguments], status, *texts)


@functools.cache
def _original() -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    env = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    process = subprocess.Popen(
        [sys.executable, "-c", _ORIGINAL], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.communicate)  # It ends once its standard input has ended.
    return process
