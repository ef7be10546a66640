"""What a page shows and what it would fetch, read back from its text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

FETCHING = {"script", "link", "img", "image", "iframe", "object", "embed", "video", "audio", "source", "base"}


class _Page(HTMLParser):
    """Tags, ids and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def check_alone(text: str) -> None:
    """A page fetches nothing and runs nothing; its ids are unique and its links lead to them."""
    page = _Page()
    page.feed(text)
    assert not FETCHING & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "srcset", "data") or name[:2] == "on"]
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for name, value in page.attributes if name in ("href", "xlink:href")]
    links += re.findall(r"url\(([^)]*)\)", text)
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)
    assert "@import" not in text


def words(svg: str) -> list[str]:
    """The texts in a drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def numbers(svg: str) -> int:
    """How many numbers its paths have."""
    return len(re.findall(r"-?\d+\.?\d*", " ".join(re.findall(r' d="([^"]*)"', svg))))
