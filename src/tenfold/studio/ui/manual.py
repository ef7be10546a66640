"""The page of the manual: a list of articles that can be searched, and the one that is read."""

from __future__ import annotations

import tkinter as tk
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.studio.form import METHODS
from tenfold.studio.language import _
from tenfold.studio.manual import Article, articles, search
from tenfold.studio.ui.markdown import MarkdownText
from tenfold.studio.ui.page import Page, heading, keep_split, scaled, select_row

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["ManualPage"]

_LIST = 220  # width of the list of articles; see `scaled`


class ManualPage(Page):
    """The manual.

    Attributes:
        sought: what is searched for.
        table: the list; a row is named by the key of its article.
        text: the article that is open.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """Open at the first article."""
        super().__init__(master, window)
        heading(self, _("Manual"))
        self._articles = {article.key: article for article in articles()}
        self.key = ""
        self.sought = tk.StringVar(self)
        self.sought.trace_add("write", lambda *_names: self._list())
        top = ttk.Frame(self)
        top.pack(fill="x", pady=(0, 8))
        ttk.Label(top, text=_("Search")).pack(side="left", padx=(0, 8))
        self._entry = ttk.Entry(top, textvariable=self.sought, width=32)
        self._entry.bind("<Return>", lambda _event: self._open_first())
        self._set = ttk.Button(
            top, text=_("Set it in the form"), bootstyle="primary-outline", command=self._to_form
        )
        self._set.pack(side="right", padx=(8, 0))
        self._entry.pack(side="left")  # what comes last becomes narrow where there is no room
        panes = ttk.Panedwindow(self, orient="horizontal")
        panes.pack(fill="both", expand=True)
        frame = ttk.Frame(panes)
        self.table = ttk.Treeview(frame, show="tree", selectmode="browse", height=8)
        self.table.column("#0", width=scaled(self, _LIST), minwidth=scaled(self, 120))
        bar = ttk.Scrollbar(frame, command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.table.pack(fill="both", expand=True)
        self.table.bind("<<TreeviewSelect>>", lambda _event: self._read())
        self.table.bind("<Configure>", lambda _event: self._see())
        self._entry.bind("<Down>", lambda _event: self.table.focus_set())
        panes.add(frame, weight=0)
        holder = ttk.Frame(panes)
        self.text = MarkdownText(holder)
        scroll = ttk.Scrollbar(holder, command=self.text.yview)
        self.text.configure(yscrollcommand=scroll.set)
        scroll.pack(side="right", fill="y")
        self.text.pack(fill="both", expand=True)
        panes.add(holder, weight=1)
        keep_split(panes, window.remembered.splits, "manual")
        self._list()

    def show(self, **asked: Any) -> None:
        """Open the article `key`, where one is asked for."""
        if "key" in asked:
            self.sought.set("")
            select_row(self.table, asked["key"])
        self._entry.focus_set()

    def kept(self) -> dict[str, Any]:
        """The article that is open."""
        return {"key": self.key}

    def _list(self) -> None:
        """The articles that hold what is searched for, by group."""
        found = search(self.sought.get(), self._articles.values())
        self.table.delete(*self.table.get_children())
        groups: dict[str, str] = {}
        for article in found:
            if article.group not in groups:
                groups[article.group] = self.table.insert("", "end", text=article.group, open=True)
            self.table.insert(groups[article.group], "end", iid=article.key, text=article.title)
        if found:
            wanted = (
                self.key if self.key in {x.key for x in found} and not self.sought.get() else found[0].key
            )
            select_row(self.table, wanted)
            self._read()

    def _see(self) -> None:
        """Bring the chosen article into view: a list that had no height yet could not."""
        for row in self.table.selection():
            self.table.see(row)

    def _open_first(self) -> None:
        """Go to the best of what was found."""
        rows = [row for group in self.table.get_children() for row in self.table.get_children(group)]
        if rows:
            self.table.focus_set()
            select_row(self.table, rows[0])

    def _read(self) -> None:
        """Open the article that is chosen."""
        chosen = self.table.selection()
        if not chosen or chosen[0] not in self._articles:
            return
        article = self._articles[chosen[0]]
        self.key = article.key
        self.text.show(_title(article), article.text)
        self.text.mark(self.sought.get().split())
        self._set.configure(state="normal" if _in_form(article.key) else "disabled")

    def _to_form(self) -> None:
        """Go to the field that the article is about."""
        self.window.open("new", field=self.key)


def _in_form(key: str) -> bool:
    """Whether an article is about a field of the form."""
    return key != "method" and any(key in schema.model_fields for schema in METHODS.values())


def _title(article: Article) -> str:
    """With the name that job files have."""
    same = article.key.replace("_", " ") == article.title.lower()
    return article.title if same or "/" in article.key else f"{article.title} ({article.key})"
