from __future__ import annotations

import json
import platform

from pellucid.engines import native
from pellucid.measuring.machine import describe


def test_the_description_has_what_decides_speed_and_no_name_of_machine_or_user(monkeypatch):
    monkeypatch.setenv("PELLUCID_CPU", "scalar")
    description = describe()
    assert description["instruction_set"] == "scalar" != native.supported_instruction_sets()[0]
    assert description["memory_bytes"] > 100e6
    assert description["processor"]
    text = json.dumps(description)
    assert platform.node() not in text
    assert "/" not in text
