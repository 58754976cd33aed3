"""A target whose cases have every kind of fault, one each: what the harness must tell apart."""

import os
import signal
import time

from attack.child import Bounds, Result
from attack.target import Target

from pellucid.errors import ModelError


class NoException(BaseException):
    """As the PanicException of a library that is written in Rust."""


def raising(error):
    def case():
        raise error

    return case


def greedy():
    _held = bytearray(b"a") * (300 << 20)
    time.sleep(60)


def in_a_child(work):
    if os.fork() == 0:
        work()


CASES = {
    "ok": lambda: None,
    "loud": lambda: print("a" * 1_000_000),
    "refused": raising(ModelError("the model is none of ours.")),
    "unfit": raising(ModelError(" ")),
    "wrong": raising(AssertionError("a wrong vector")),
    "raw": raising(ValueError("raw")),
    "panic": raising(NoException("raw")),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(7),
    "hang": lambda: time.sleep(60),
    "memory": greedy,
    "child": lambda: (in_a_child(greedy), time.sleep(60)),
    "orphan": lambda: in_a_child(lambda: time.sleep(60)),
}


def attack(rng, files):
    (files / "drawn.txt").write_text(str(rng.random()))
    list(CASES.values())[int(files.parent.name.rpartition("-")[2])]()
    return Result()


TARGET = Target(lambda _shared: attack, len(CASES), 2, "", Bounds(seconds=15, memory=200 << 20))
