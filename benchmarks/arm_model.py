"""Asks llvm-mca how many multiply-adds a cycle the products of the native engine do on Arm. No Arm machine is needed.

It compiles each Arm instruction set of ``native/`` to assembly, takes the innermost loop of each product that
multiplies most, and lets llvm-mca simulate it with the caches always hit. So this is a model of the processors, and
not a measurement. Debian: ``apt install g++-aarch64-linux-gnu llvm-19``::

    python3 benchmarks/arm_model.py
    python3 benchmarks/arm_model.py --native OTHER/native   # of another version
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

COMPILER = ["aarch64-linux-gnu-g++", "-std=c++17", "-O3", "-DNDEBUG", "-fPIC", "-fno-math-errno", "-S", "-o-"]
SIMULATOR = ["llvm-mca-19", "-mtriple=aarch64", "-mattr=+dotprod,+i8mm"]
FLAGS = {
    "neon": [],
    "neon_dot": ["-march=armv8.2-a+dotprod"],
    "neon_i8mm": ["-march=armv8.2-a+dotprod+i8mm"],
}
PROCESSORS = ("cortex-a53", "cortex-a72", "neoverse-n1", "neoverse-v1", "neoverse-v2", "apple-m1")
PRODUCTS = {"fmla": 4, "sdot": 16, "smmla": 32, "smull": 4, "smull2": 4, "smlal": 4, "smlal2": 4}
"""The products of one instruction. smull and smlal do twice as many of bytes."""
ROUNDS = 200


def functions(assembly: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each function's name and its lines."""
    for part in re.split(r"^(?=_Z[\w.]+:$)", assembly, flags=re.MULTILINE)[1:]:
        name, *lines = part.split("\t.size", 1)[0].splitlines()
        yield name, lines


def innermost_loops(lines: list[str]) -> Iterator[list[str]]:
    """Yield the instructions of each loop that has no jump but its last."""
    start: dict[str, int] = {}
    for i, line in enumerate(lines):
        if label := re.match(r"(\.L\w+):", line):
            start = {label[1]: i + 1}  # A loop that began before contains this label.
        elif jump := re.match(r"\t(?:b|cb|tb)\w*(?:\.\w+)?\t(?:.*, )?(\.L\w+)$", line):
            if jump[1] in start:
                yield [x for x in lines[start[jump[1]] : i] if re.match(r"\t\w", x)]
            start = {}


def products(loop: list[str], dtype: str) -> int:
    """Count the products of two numbers of this dtype that the loop adds up."""
    total = 0
    for line in loop:
        name = line.split()[0]
        of_bytes = name.startswith(("smull", "smlal")) and re.search(r"\.(8|16)b", line)
        total += PRODUCTS.get(name, 0) * (2 if of_bytes else 1)
    is_split = dtype == "Int16" and any(line.split()[0] in ("sdot", "smmla") for line in loop)
    return total // 4 if is_split else total


def cycles(loop: list[str], processor: str) -> float:
    """Return the cycles of one round of the loop, according to llvm-mca."""
    command = [*SIMULATOR, f"-mcpu={processor}", f"-iterations={ROUNDS}"]
    report = subprocess.run(command, input="\n".join(loop), capture_output=True, text=True, check=True).stdout
    found = re.search(r"Total Cycles: +(\d+)", report)
    if not found:
        raise SystemExit(f"llvm-mca-19 does not understand this loop:\n{report}")
    return int(found[1]) / ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--native", type=Path, default=Path(__file__).parents[1] / "native", help="the core's folder")
    native = parser.parse_args().native
    # CMakeLists.txt says why. Versions without that file's flag are compiled without it.
    schedule = re.findall(r"-fno-schedule-insns", (native / "CMakeLists.txt").read_text("utf-8"))
    print("| set | dtype |", " | ".join(PROCESSORS), "|")
    print("|---|---|" + "--:|" * len(PROCESSORS))
    for name, flags in FLAGS.items():
        source = native / "isa" / f"{name}.cpp"
        if not source.exists():
            continue
        command = [*COMPILER, *schedule, *flags, f"-I{native}", str(source)]
        assembly = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        best: dict[str, list[str]] = {}
        for function, lines in functions(assembly):
            if dtype := re.search(r"multiply.*Dot(Float32|Int16|Int8)I", function):
                loops = [best.get(dtype[1], []), *innermost_loops(lines)]
                best[dtype[1]] = max(loops, key=lambda loop, dtype=dtype[1]: products(loop, dtype))  # type: ignore[misc]
        for dtype_name, loop in best.items():
            speeds = [f"{products(loop, dtype_name) / cycles(loop, cpu):.1f}" for cpu in PROCESSORS]
            print(f"| {name} | {dtype_name.lower()} |", " | ".join(speeds), "|")


if __name__ == "__main__":
    main()
