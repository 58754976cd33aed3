from __future__ import annotations

import datetime
import json
from decimal import Decimal

import pytest

from pellucid.tables.json_values import json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (float("inf"), None),
        ([float("nan"), {"a": (float("-inf"),)}], [None, {"a": [None]}]),
        (b"\xff\x00", "ff00"),
        ({1: "a"}, {"1": "a"}),
        (Decimal("1.50"), "1.50"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_every_value_becomes_one_that_json_has(value, expected):
    assert json_value(value) == expected
    json.dumps(json_value(value), allow_nan=False)
