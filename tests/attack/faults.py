"""A target with one case for each kind of fault, which the attack must tell apart."""

import os
import signal
import time

from attack.child import Limits, Result
from attack.target import Target

from pellucid.errors import ModelError


class PanicException(BaseException):
    """Like the exception of a library that is written in Rust, this is not an Exception."""


def raising(error):
    def case():
        raise error

    return case


def use_much_memory():
    _content = bytearray(b"a") * (300 << 20)
    time.sleep(60)


def run_in_a_child(work):
    if os.fork() == 0:
        work()


CASES = {
    "ok": lambda: None,
    "long output": lambda: print("a" * 1_000_000),
    "refused": raising(ModelError("this model is not supported.")),
    "empty message": raising(ModelError(" ")),
    "wrong": raising(AssertionError("a vector is wrong")),
    "raw": raising(ValueError("raw")),
    "panic": raising(PanicException("raw")),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(7),
    "hang": lambda: time.sleep(60),
    "memory": use_much_memory,
    "memory of a child": lambda: (run_in_a_child(use_much_memory), time.sleep(60)),
    "orphan": lambda: run_in_a_child(lambda: time.sleep(60)),
}


def case(rng, files):
    (files / "random.txt").write_text(str(rng.random()))
    list(CASES.values())[int(files.parent.name.rpartition("-")[2])]()
    return Result()


TARGET = Target(lambda _shared: case, len(CASES), 2, "", Limits(seconds=15, memory=200 << 20))
