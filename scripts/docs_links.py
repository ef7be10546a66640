"""Every link of the built site, all that its pages fetch, and that every formula is MathML.

    python scripts/docs_links.py site

A link within the site must lead to a file, and to a place in it if it names one. Nothing may be fetched from
elsewhere: no script, style, font, picture or frame. Other links are not followed; they must be https.
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["problems"]

_FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class _Page(HTMLParser):
    """The places of a page, where its links lead, and what it fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.unset = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says."""
        values = {name: value or "" for name, value in attrs}
        self.unset += "arithmatex" in values.get("class", "").split()
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in _FETCHED and values.get("rel") != "canonical" and _FETCHED[tag] in values:
            self.fetched.append(values[_FETCHED[tag]])


def problems(site: Path) -> list[str]:
    """What is wrong, a sentence each; empty if nothing is.

    Args:
        site: folder of a built site.
    """
    pages = {path.resolve(): _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no page is there; build the site first"]
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        if name.name == "404.html":  # shown at any address: its links begin at the root of the server
            continue
        found += [f"{name}: fetches {url}" for url in page.fetched if not _is_local(url)]
        found += [f"{name}: formulas that are still TeX: {page.unset}"] if page.unset else []
        found += [
            f"{name}: {why}" for url in [*page.links, *page.fetched] if (why := _wrong(url, path, pages))
        ]
    return found


def _is_local(url: str) -> bool:
    """Whether a page fetches it from where it lies itself."""
    parts = urlsplit(url)
    return not parts.netloc and parts.scheme in ("", "data")


def _wrong(url: str, path: Path, pages: dict[Path, _Page]) -> str:
    """Why a link leads nowhere; empty if it does."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return "" if parts.scheme in ("https", "data", "mailto") else f"{url} is not https"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{url} leads to no file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in {"", *pages[target].places}:
        return f"{url}: no such place there"
    return ""


def main() -> None:
    """Print what is wrong; fail if anything is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path)
    found = problems(parser.parse_args().site)
    print("\n".join(found) or "every link leads somewhere, nothing comes from elsewhere, formulas are set")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
