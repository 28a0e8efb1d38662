"""What a person does with a notebook in JupyterLab."""

import re
import time

_ERROR = '.jp-Notebook [data-mime-type="application/vnd.jupyter.error"]'
_PATIENCE_S = 5  # after which somebody presses the keys again


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page):
        self.page, self.cells = page, page.locator(".jp-Notebook .jp-Cell")
        self.cells.first.wait_for(timeout=120_000)
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=120_000)
        self.select(1)

    def select(self, number):
        """Click beside a cell, counted from 1."""
        self.cells.nth(number - 1).locator(".jp-InputPrompt").click()

    def run(self, count=1, minutes=2):
        """Run the next cells one by one, each when the last one is done; an error stops it."""
        for _ in range(count):
            number = 1 + self.cells.evaluate_all("(all) => all.findIndex((cell) => cell.matches('.jp-mod-selected'))")
            self.page.keyboard.press("Shift+Enter")
            if self.cells.nth(number - 1).evaluate("(cell) => cell.matches('.jp-CodeCell')"):
                self._wait(number, minutes)
            errors = self.page.locator(_ERROR)
            assert not errors.count(), errors.first.inner_text()

    def _wait(self, number, minutes):
        """Wait until a cell has run. Right after its start, JupyterLab can forget what was to run: then once more."""
        prompt = self.cells.nth(number - 1).locator(".jp-InputPrompt")
        pressed = time.monotonic()
        end = pressed + 60 * minutes
        while time.monotonic() < end:
            text = prompt.inner_text()
            if re.search(r"\d", text):
                return
            if "*" not in text and time.monotonic() > pressed + _PATIENCE_S:
                self.select(number)
                self.page.keyboard.press("Shift+Enter")
                pressed = time.monotonic()
            self.page.wait_for_timeout(100)
        raise AssertionError(f"cell {number} runs for more than {minutes} minutes")
