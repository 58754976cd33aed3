"""Steps that the tests of the home page share."""

from __future__ import annotations

import pytest


def submit(page, mode, *texts):
    """Enters the texts in the tab of this mode, and waits for their view or for an error. Returns the panel."""
    page.locator(f"#tab-{mode}").click()
    panel = page.locator(f"#panel-{mode}")
    for area, text in zip(panel.locator("textarea").all(), texts, strict=True):
        area.fill(text)
    page.keyboard.press("Control+Enter")
    panel.locator(".result > section, .error:not(:empty)").last.wait_for()
    panel.locator(".result[aria-busy=false]").wait_for(state="attached")
    return panel


def wait_for_poll(page, stub):
    """Lets two seconds pass on the page's clock, and waits until it has requested the statistics again."""
    count = stub.stats_requests
    page.clock.run_for(2100)
    wait_for_stats_request(page, stub, count)


def wait_for_stats_request(page, stub, count):
    """Waits until the page has requested the statistics more than ``count`` times."""
    for _ in range(3000):
        if stub.stats_requests > count:
            return
        page.wait_for_timeout(20)
    pytest.fail("the page did not request the statistics")
