from __future__ import annotations

import json
import platform

from pellucid.engines import native
from pellucid.measuring.machine import describe


def test_it_says_what_decides_speed_and_names_neither_machine_nor_user(monkeypatch):
    monkeypatch.setenv("PELLUCID_CPU", "scalar")
    said = describe()
    assert said["instruction_set"] == "scalar" != native.available()[0]
    assert said["memory_bytes"] > 100e6
    assert said["processor"]
    text = json.dumps(said)
    assert platform.node() not in text
    assert "/" not in text
