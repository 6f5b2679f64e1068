"""The page in a real browser, briefly: it shows what answers, and follows a promotion by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.conftest import Site


def test_the_page_follows_what_others_do(site: Site, open_page: Callable[..., Any]) -> None:
    """If somebody moves an alias, the open page shows it, with its reason as text."""
    page = open_page(site.url)
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="version 1").wait_for()
    reason = "<b>better</b> <script>document.title = 'owned'</script>"
    site.repository.set_alias("small", "champion", 2, actor="ci", reason=reason)
    page.get_by_role("link", name="version 2").wait_for()
    page.get_by_text(reason).wait_for()
    assert page.title() == "Now · policyd"
    site.repository.rollback_alias("small", "champion", actor="ci", reason="back")
