"""Markdown in a text widget: headings, paragraphs, lists, tables, code, and the marks inside a line."""

from __future__ import annotations

import re
import tkinter as tk
from tkinter import font as tkfont

import ttkbootstrap as ttk

from tenfold.studio.formulas import plain

__all__ = ["MarkdownText"]

_INLINE = re.compile(r"(`[^`]+`|\$[^$]+\$|\*\*[^*]+\*\*|\*[^*]+\*|\[[^\]]+\]\([^)]+\))")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


class MarkdownText(tk.Text):
    """A page that can be read and selected, not changed."""

    def __init__(self, master: tk.Misc) -> None:
        """An empty page."""
        super().__init__(
            master, wrap="word", borderwidth=0, highlightthickness=0, padx=18, pady=10, cursor="arrow"
        )
        self._make_tags()
        self.configure(state="disabled")
        self.winfo_toplevel().bind("<<ModeChanged>>", lambda _event: self._make_tags(), add="+")

    def show(self, title: str, text: str) -> None:
        """Show a page with a title."""
        self.configure(state="normal")
        self.delete("1.0", "end")
        self.insert("end", title + "\n", "h1")
        for block in _blocks(text):
            self._add(block)
        self.configure(state="disabled")
        self.yview_moveto(0)

    def mark(self, words: list[str]) -> None:
        """Mark words that were searched for."""
        self.tag_remove("found", "1.0", "end")
        for word in words:
            at = "1.0"
            while at := self.search(word, at, "end", nocase=True):
                end = f"{at}+{len(word)}c"
                self.tag_add("found", at, end)
                at = end

    def _add(self, block: str) -> None:
        """One block."""
        first = block.split("\n", 1)[0]
        if first.startswith("```"):
            self.insert("end", "\n".join(block.split("\n")[1:]).removesuffix("```") + "\n", "code")
        elif first.startswith("$$"):
            self.insert("end", plain(block.strip("$")) + "\n\n", ("display", "formula"))
        elif first.startswith("#"):
            level = min(3, len(first) - len(first.lstrip("#")))
            self._add_inline(first.lstrip("# "), f"h{level}")
            self.insert("end", "\n")
        elif first.startswith("|"):
            self._add_table(block)
        elif first.startswith(("- ", "* ")):
            for item in re.split(r"\n[-*] ", block[2:]):
                self.insert("end", "•  ", "item")
                self._add_inline(" ".join(item.split()), "item")
                self.insert("end", "\n", "item")
            self.insert("end", "\n", "gap")
        else:
            self._add_inline(" ".join(block.split()), "text")
            self.insert("end", "\n\n", "gap")

    def _add_table(self, block: str) -> None:
        """A table in columns of equal signs."""
        block = re.sub(r"\$([^$]+)\$", lambda formula: plain(formula[1]).replace("|", "¦"), block)
        lines = [re.sub(r"[`*]", "", line).strip("|").split("|") for line in block.split("\n")]
        rows = [[_LINK.sub(r"\1", cell).strip() for cell in line] for line in lines]
        rows = [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
        widths = [max(len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows)))]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            self.insert("end", line.rstrip() + "\n", "row")
        self.insert("end", "\n", "gap")

    def _add_inline(self, text: str, tag: str) -> None:
        """A line with its marks."""
        for part in _INLINE.split(text):
            if part.startswith("`"):
                self.insert("end", part.strip("`"), (tag, "mono"))
            elif part.startswith("$"):
                self.insert("end", plain(part.strip("$")), (tag, "formula"))
            elif part.startswith("**"):
                self.insert("end", part.strip("*"), (tag, "bold"))
            elif part.startswith("*") and len(part) > 2:
                self.insert("end", part.strip("*"), (tag, "italic"))
            else:
                link = _LINK.fullmatch(part)
                self.insert("end", link[1] if link else part, tag)

    def _make_tags(self) -> None:
        """How each kind of text looks in the present theme."""
        if not self.winfo_exists():
            return
        colors = ttk.Style().colors
        self.configure(background=str(colors.bg), foreground=str(colors.fg))
        plain = tkfont.nametofont("TkDefaultFont").actual()
        family, size = plain["family"], plain["size"]
        fixed = tkfont.nametofont("TkFixedFont").actual()["family"]
        for level, larger in (("h1", 6), ("h2", 3), ("h3", 1)):
            self.tag_configure(level, font=(family, size + larger, "bold"), spacing1=8, spacing3=6)
        self.tag_configure("text", lmargin1=0, lmargin2=0, spacing2=3)
        self.tag_configure("item", lmargin1=8, lmargin2=24, spacing2=2, spacing3=3)
        self.tag_configure("code", font=(fixed, size), lmargin1=14, lmargin2=14)
        self.tag_configure("row", font=(fixed, size), lmargin1=14, lmargin2=40)
        self.tag_configure("display", lmargin1=24, lmargin2=24)
        self.tag_configure("formula", foreground=str(colors.primary))
        self.tag_configure("gap", font=(family, max(4, size // 2)))
        self.tag_configure("mono", font=(fixed, size), foreground=str(colors.primary))
        self.tag_configure("bold", font=(family, size, "bold"))
        self.tag_configure("italic", font=(family, size, "italic"))
        self.tag_configure("found", background=str(colors.warning), foreground="#000000")
        self.tag_raise("sel")


def _blocks(text: str) -> list[str]:
    """Paragraphs, lists, tables, headings and code, as they follow each other."""
    blocks: list[str] = []
    for part in re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            blocks.append(part)
            continue
        for block in re.split(r"\n\s*\n", part):
            lines = block.strip("\n").split("\n")
            while lines and lines[0].startswith("#"):
                blocks.append(lines.pop(0))
            lines = [line for line in lines if not line.startswith("![")]  # a drawing of the site
            if any(line.strip() for line in lines):
                blocks.append("\n".join(lines).strip())
    return blocks
