"""Builds, tests and measures Pellucid on a machine that is at hand for a few minutes: many cores, AMX, a GPU.

First, where the model and the network are, ``.venv/bin/python benchmarks/device.py --prepare`` writes the model into
``build/device/model``, with its weights in float16 (46 MB). Take the repository and that folder to the machine, which
needs no network::

    python3 benchmarks/device.py --output figures.json

Each part has a limit of time, and the whole has one too, of three minutes by default. A part that is not done by then
keeps the figures that it has. A part that cannot run says why. It needs Python 3.11 or newer, a C++ compiler, and the
packages that Pellucid and its build need (it names those that are missing); for two parts, PyTorch and
sentence-transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import machine

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "device"
MODEL, SITE, NATIVE = FOLDER / "model" / "all-MiniLM-L6-v2", FOLDER / "site", FOLDER / "native"
NEEDED = {
    "build": ("numpy", "nanobind", "scikit_build_core", "pathspec", "cmake", "ninja"),
    "run": ("filelock", "huggingface_hub", "rich", "safetensors", "threadpoolctl", "tokenizers", "tqdm", "typer"),
}
LIMITS = {
    "build": 90,
    "tests": 25,
    "exactness": 20,
    "threads": 30,
    "query": 10,
    "sets": 25,
    "gpu": 60,
    "limits": 10,
    "long": 15,
    "peer": 25,
}
"""The most seconds for each part, in their order."""
SECONDS = 180
HAS_GPU = "import json, torch; print(json.dumps(['gpu', torch.cuda.is_available()]))"
LEAST_SECONDS = 5
"""With less than this left, a part does not begin."""


@dataclass
class Part:
    """What came of a part.

    Attributes:
        seconds: how long it took.
        note: why it has no figures, or not all; "" if it has.
        figures: what it measured.
    """

    seconds: float = 0.0
    note: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run the parts, write their figures, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true", help="write the model's folder, and nothing else")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="with --prepare: the model's name or folder")
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="PART")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="the limit of the whole; parts may take more if it is higher"
    )
    parser.add_argument("--output", type=Path, default=FOLDER / "figures.json")
    args = parser.parse_args()
    if args.prepare:
        prepare(args.model)
        return
    end = time.monotonic() + args.seconds
    result: dict[str, Any] = {"machine": machine.describe(), "commit": machine.commit(), "parts": {}}
    for name in args.parts:
        limit = min(LIMITS[name] * max(1, args.seconds / SECONDS), end - time.monotonic())
        part = run(name, limit) if limit > LEAST_SECONDS else Part(note="no time was left")
        result["parts"][name] = vars(part)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\n## {name}, {part.seconds:.0f} s{f': {part.note}' if part.note else ''}\n", flush=True)
        print("\n".join(table(part.figures)), flush=True)


def prepare(model: str) -> None:
    """Copy a model's files to the folder that travels, the weights in float16."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from pellucid.sources.resolve import resolve

    source = resolve(model).folder
    shutil.rmtree(MODEL, ignore_errors=True)
    for file in source.rglob("*.json"):
        copy = MODEL / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    tensors = load_file(source / "model.safetensors")
    halves = {name: tensor.astype(np.float16) for name, tensor in tensors.items() if tensor.dtype == np.float32}
    save_file(halves, MODEL / "model.safetensors", {"format": "pt"})
    size = sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file())
    print(f"{MODEL.relative_to(ROOT)}: {size / 1e6:.0f} MB")


def run(name: str, limit: float) -> Part:
    """Run one part, for at most this many seconds."""
    start = time.monotonic()
    if name == "build":
        part = build(limit)
    elif name == "tests":
        part = native_tests(limit)
    elif not SITE.is_dir():
        part = Part(note="Pellucid was not built")
    elif not MODEL.is_dir():
        part = Part(note=f"{MODEL.relative_to(ROOT)} is missing: run --prepare, and bring that folder")
    elif name == "gpu":
        part = gpu(limit)
    elif name == "peer" and (missing := not_installed("torch", "sentence_transformers")):
        part = Part(note=f"not installed: {missing}")
    else:
        part = measure(name, limit)
    part.seconds = round(time.monotonic() - start, 1)
    return part


def build(limit: float) -> Part:
    """Build Pellucid, and the tests of its core beside it, both at once."""
    if missing := not_installed(*NEEDED["build"], *NEEDED["run"]):
        return Part(note=f"not installed: {missing}")
    start, cmake = time.monotonic(), tool("cmake")
    shutil.rmtree(SITE, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    pip += ["--config-settings", "build-dir=build/device/package"]
    configure = [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DPELLUCID_TESTS=ON"]
    log = FOLDER / "build.log"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        package = begin([*pip, "--target", str(SITE), "."], output)
        begin([*configure, "-S", "native", "-B", str(NATIVE)], output).wait()
        tests = begin([cmake, "--build", str(NATIVE)], output)
        codes = []
        for process in (package, tests):
            try:
                codes.append(process.wait(max(1.0, limit - (time.monotonic() - start))))
            except subprocess.TimeoutExpired:
                stop(process)
                codes.append(None)
    figures = {name: outcome(code) for name, code in zip(("package", "tests of the core"), codes, strict=True)}
    return Part(figures=figures, note="" if codes == [0, 0] else f"see {log.relative_to(ROOT)}")


def native_tests(limit: float) -> Part:
    """Run the tests of the core, which take every instruction set of this machine."""
    end, part = time.monotonic() + limit, Part()
    for name in ("core_tests", "word_tests", "out_of_memory"):
        file = NATIVE / "tests" / name
        if not file.is_file():
            part.figures[name] = "not built"
            continue
        try:
            done = subprocess.run([file], capture_output=True, text=True, timeout=end - time.monotonic(), check=False)
            part.figures[name] = outcome(done.returncode) + "".join(
                f"; {line}" for line in (done.stdout + done.stderr).splitlines()[-1:]
            )
        except (subprocess.TimeoutExpired, ValueError):
            part.figures[name] = "no time was left"
    return part


def measure(name: str, limit: float) -> Part:
    """Run a part of device_parts.py, and keep what it prints until its time is up."""
    command = [sys.executable, str(Path(__file__).with_name("device_parts.py")), name, str(MODEL)]
    return read(begin(command), limit)


def gpu(limit: float) -> Part:
    """Run gpu.py with few texts. It writes its figures at its end."""
    if missing := not_installed("torch", "sentence_transformers", "pytest"):
        return Part(note=f"not installed: {missing}")
    start = time.monotonic()
    asked = read(begin([sys.executable, "-c", HAS_GPU]), limit)
    if not asked.figures.get("gpu"):
        return Part(note=asked.note or "there is no GPU")
    output = FOLDER / "gpu.json"
    output.unlink(missing_ok=True)
    sizes = ["--texts", "10000", "--long-texts", "2000", "--rounds", "1", "--models", str(MODEL)]
    command = [sys.executable, str(Path(__file__).with_name("gpu.py")), *sizes, "--output", str(output)]
    part = read(begin(command), limit - (time.monotonic() - start))
    return Part(note=part.note, figures=json.loads(output.read_text()) if output.is_file() else {})


def read(process: subprocess.Popen[bytes], limit: float) -> Part:
    """What a process prints as ``[key, value]`` lines until it ends, or until its time is up."""
    note = ""
    try:
        printed, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        stop(process)
        printed, errors = process.communicate()
        note = f"stopped after {limit:.0f} s"
    if process.returncode and not note:
        note = machine.without_folders(
            next(iter(errors.decode().strip().splitlines()[-1:]), "failed without a message")
        )
    lines = [line for line in printed.decode().splitlines() if line.startswith('["') and line.endswith("]")]
    return Part(note=note, figures=dict(json.loads(line) for line in lines))


def begin(command: list[str], output: IO[Any] | None = None) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, with Pellucid as built here. Its output goes to a file or a pipe."""
    options = {"PYTHONPATH": str(SITE), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | options,
        stdout=output or subprocess.PIPE,
        stderr=subprocess.STDOUT if output else subprocess.PIPE,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started: a compiler, or tests."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def not_installed(*modules: str) -> str:
    """Those of the modules that are missing. A program of that name is as good."""
    return ", ".join(name for name in modules if not importlib.util.find_spec(name) and not shutil.which(name))


def tool(name: str) -> str:
    """Where a program is: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else name


def outcome(code: int | None) -> str:
    return {0: "passed", None: "stopped: no time was left"}.get(code, f"failed with status {code}")


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as lines; numbers whose key ends with a number of threads share a line."""
    grid: dict[str, dict[int, float]] = {}
    lines = []
    for key, value in figures.items():
        name, _, count = key.rpartition(", ")
        if isinstance(value, float) and count.isdigit():
            grid.setdefault(name, {})[int(count)] = value
        else:
            text = json.dumps(value) if isinstance(value, dict | list) else str(value)
            lines.append(f"{key:24} {text}")
    if grid:
        counts = sorted({count for row in grid.values() for count in row})
        lines += ["threads".ljust(24) + "".join(f"{count:>18}" for count in counts)]
    for name, row in grid.items():
        first = next(iter(row.values()))
        cells = [f"{row[n]:,.{0 if row[n] >= 100 else 2}f} ({row[n] / first:.2f})" if n in row else "" for n in counts]  # noqa: PLR2004  three digits
        lines.append(name.ljust(24) + "".join(f"{cell:>18}" for cell in cells))
    return lines


if __name__ == "__main__":
    main()
