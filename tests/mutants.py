"""Mutation testing: does a test fail if one place of a module is changed?

``python -m tests.mutants layers/pooling layers/norms`` changes one place of a module at a time and runs the module's
own tests. If they still pass, the changed module (the mutant) survives, and is printed. Each change is made in memory,
in a new process. No file changes.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

SOURCES = Path("src/pellucid")
TESTS = {
    "layers/pooling": ("layers/test_pooling.py",),
    "layers/norms": ("layers/test_norms.py",),
    "layers/dense": ("layers/test_dense.py",),
    "layers/finish": ("layers/test_finish.py",),
    "layers/activations": ("layers/test_activations.py",),
    "encoder/batching": ("encoder/test_batching.py",),
    "text/truncation": ("text/test_truncation.py",),
    "text/chunking": ("text/test_chunking.py",),
    "types": ("test_types.py",),
    "explain/shares": ("explain/test_shares.py",),
    "engines/reference": ("engines/test_reference.py",),
}
"""The modules that only compute, with their tests."""
_SLOW_IMPORTS = (
    "hypothesis.extra.numpy",
    "hypothesis.strategies",
    "pytest",
    "safetensors.numpy",
    "tokenizers",
    "threadpoolctl",
)
"""Packages that the tests need. They are imported once, before the processes are forked."""
TIMEOUT_SECONDS = 300
"""A mutant that takes longer is in an endless loop. That counts as a failed test."""
_PAIRS: tuple[tuple[type, type], ...] = (
    *((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn)),
    *((ast.And, ast.Or), (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitAnd, ast.BitOr), (ast.LShift, ast.RShift)),
)
_ONE_WAY = {ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.Mod: ast.Mult, ast.BitXor: ast.BitOr}
SWAPS: dict[type, type] = _ONE_WAY | dict(_PAIRS) | {b: a for a, b in _PAIRS}


@dataclass(frozen=True)
class Mutant:
    """A module with one place changed."""

    line: int
    before: str
    after: str
    code: CodeType


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    for parent, field, index in list(_places(tree)):
        siblings = getattr(parent, field)
        node = siblings if index is None else siblings[index]
        for other in _variants(node):
            _set(parent, field, index, other)
            yield Mutant(node.lineno, ast.unparse(node), ast.unparse(other), _compile(tree))
            _set(parent, field, index, node)


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """The places of all expressions and statements that compute: parent, field, and index if the field is a list.

    Docstrings, annotations, decorators and messages are left out.
    """
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_bare_constant(child):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield node, field, index
            yield from _places(child)


def _is_bare_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that a mistake could put in a node's place."""
    yield from _other_operators(node)
    match node:
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(float() as value):
            yield ast.Constant(value * 1.01 + 0.01)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(ast.AST() as value) if ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.AugAssign() | ast.Expr() | ast.Raise() | ast.Continue():
            yield ast.Pass()
        case ast.Call(function, args, keywords):
            for i in range(len(keywords)):
                yield ast.Call(function, args, keywords[:i] + keywords[i + 1 :])


def _other_operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, [op], comparators):
            yield ast.Compare(left, [SWAPS[type(op)]()], comparators)
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(op)](), right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
        case ast.UnaryOp(_, operand):
            yield operand


def _set(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _compile(tree: ast.Module) -> CodeType:
    return compile(ast.fix_missing_locations(tree), "<mutant>", "exec")


class _MutantImporter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant instead of the module."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name, self.code = name, code

    def find_spec(self, fullname: str, _path: Any, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)  # noqa: S102  the module's own code, except for one place


def _run_tests(name: str, code: CodeType, tests: list[str]) -> None:
    """Run the tests with a mutant, and end this process: with exit status 0 if all tests pass."""
    import pytest

    sys.meta_path.insert(0, _MutantImporter(name, code))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    # pytest warns of packages imported before the fork, and of options of plugins that are not loaded.
    ignored = [f"-Wignore::pytest.{kind}" for kind in ("PytestAssertRewriteWarning", "PytestConfigWarning")]
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *ignored, *tests])))


def _tests_pass(name: str, code: CodeType, tests: list[str]) -> bool:
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(name, code, tests))
    process.start()
    process.join(TIMEOUT_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def main() -> None:
    for package in _SLOW_IMPORTS:
        importlib.import_module(package)
    os.environ |= {"CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # The same hypothesis examples for each mutant.
    for module in sys.argv[1:] or TESTS:
        source = (SOURCES / f"{module}.py").read_text(encoding="utf-8")
        name = f"pellucid.{module.replace('/', '.')}"
        tests = [f"tests/{test}" for test in TESTS[module] if Path(f"tests/{test}").exists()]
        if not _tests_pass(name, _compile(ast.parse(source)), tests):
            raise SystemExit(f"{module}: its tests fail without any change. Fix them first.")
        survivors, count = [], 0
        for mutant in mutants(source):
            count += 1
            if _tests_pass(name, mutant.code, tests):
                survivors.append(mutant)
                print(f"  {module}.py:{mutant.line}: {mutant.before!r} → {mutant.after!r}", flush=True)
        print(f"{module}: {count} mutants, {count - len(survivors)} killed, {len(survivors)} survived", flush=True)


if __name__ == "__main__":
    main()
