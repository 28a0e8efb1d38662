"""What a person does with a notebook in JupyterLab."""

ERROR = '[data-mime-type="application/vnd.jupyter.error"]'

_PROMPT = (
    """(cell) => cell.classList.contains("jp-CodeCell") ? cell.querySelector(".jp-InputPrompt").textContent : null"""
)


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page):
        self.page, self.cells = page, page.locator(".jp-Notebook .jp-Cell")
        self.cells.first.wait_for(timeout=120_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for(timeout=120_000)
        self.cells.first.locator(".jp-InputPrompt").click()

    def run(self, count=1, minutes=5):
        """Run the next cells one by one, each when the last one is done; an error stops it."""
        for _ in range(count):
            cell = self.page.locator(".jp-Notebook .jp-Cell.jp-mod-selected").first.element_handle()
            before = self._prompt(cell)
            self.page.keyboard.press("Shift+Enter")
            if before is not None:
                self.page.wait_for_function(
                    f"(cell) => {{ const now = ({_PROMPT})(cell); return /[0-9]/.test(now) && now !== '{before}'; }}",
                    arg=cell,
                    timeout=60_000 * minutes,
                )
            errors = self.page.locator(f".jp-Notebook {ERROR}")
            assert not errors.count(), errors.first.inner_text()

    def _prompt(self, cell):
        """``[3]:`` of a cell that was the third to run; None of a cell of text."""
        return cell.evaluate(_PROMPT)
