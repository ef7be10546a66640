"""A plan as a table that can be changed, layer by layer."""

from __future__ import annotations

import re
import tkinter as tk
from collections.abc import Callable, Mapping
from typing import get_args

import ttkbootstrap as ttk

from tenfold.config.network import SchemeName
from tenfold.core.errors import PlanError
from tenfold.core.plan import Choice, Plan
from tenfold.core.report import LayerReport
from tenfold.studio.language import _
from tenfold.studio.ui.page import fit_columns, flow, wrap

__all__ = ["PlanTable", "choice_of"]

_COLUMNS = {"layer": 190, "scheme": 110, "rank": 120, "before": 110, "after": 110, "error": 80}
_SCHEMES = tuple(name for name in get_args(SchemeName) if name != "auto")


class PlanTable(ttk.Frame):
    """The layers of a plan, and a line below in which the chosen one is changed.

    Attributes:
        plan: as changed.
        table: a row is named by its layer.
        scheme: what stands in the line: a scheme, or "" to keep the layer.
        rank: likewise, numbers with x or commas between them.
    """

    def __init__(self, master: tk.Misc, changed: Callable[[], None]) -> None:
        """An empty table; `changed` is called after the user has changed a layer."""
        super().__init__(master, padding=8)
        self.plan = Plan({})
        self._changed = changed
        self._first = Plan({})
        self._layers: Mapping[str, LayerReport] = {}
        self.scheme, self.rank = tk.StringVar(self), tk.StringVar(self)
        self._make_line()
        frame = ttk.Frame(self)
        frame.pack(fill="both", expand=True)
        titles = (_("Layer"), _("Scheme"), _("Rank"), _("Parameters"), _("then"), _("Error"))
        self.table = ttk.Treeview(
            frame, columns=list(_COLUMNS), show="headings", height=6, selectmode="browse"
        )
        for name, title in zip(_COLUMNS, titles, strict=True):
            left = name in ("layer", "scheme", "rank")
            self.table.heading(name, text=title, anchor="w" if left else "e")
            self.table.column(name, minwidth=50, anchor="w" if left else "e")
        fit_columns(self.table, _COLUMNS)
        bar = ttk.Scrollbar(frame, command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.table.pack(fill="both", expand=True)
        self.table.bind("<<TreeviewSelect>>", lambda _event: self._choose())

    def show(self, plan: Plan, layers: Mapping[str, LayerReport]) -> None:
        """Show a plan, with what is known of its layers."""
        self.plan = self._first = plan
        self._layers = layers
        self.table.delete(*self.table.get_children())
        for name in plan:
            self.table.insert("", "end", iid=name, values=self._row(name))
        if plan:
            self.table.selection_set(next(iter(plan)))

    @property
    def edited(self) -> bool:
        """Whether it is another plan than the one that was shown."""
        return self.plan != self._first

    def apply(self) -> None:
        """Take what stands in the line for the chosen layer.

        Raises:
            PlanError: the rank is none of the scheme's.
        """
        chosen = self.table.selection()
        if not chosen:
            return
        name = chosen[0]
        self.plan = self.plan.with_layer(name, choice_of(name, self.scheme.get(), self.rank.get()))
        self.table.item(name, values=self._row(name))
        self._changed()

    def _row(self, name: str) -> tuple[str, ...]:
        """One layer; of one that was changed the result is not known yet."""
        choice, layer = self.plan[name], self._layers.get(name)
        scheme = choice.scheme if choice else _("kept")
        rank = " x ".join(map(str, choice.rank)) if choice else ""
        if layer is None:
            return (name, scheme, rank, "", "", "")
        same = choice == self._first[name]
        after = f"{layer.params[1]:,}" if same else "?"
        error = f"{layer.error:.3f}" if same and choice else ""
        return (name, scheme, rank, f"{layer.params[0]:,}", after, error)

    def _choose(self) -> None:
        """Bring a layer into the line."""
        chosen = self.table.selection()
        if not chosen:
            return
        choice, layer = self.plan[chosen[0]], self._layers.get(chosen[0])
        self.scheme.set(choice.scheme if choice else "")
        self.rank.set("x".join(map(str, choice.rank)) if choice else "")
        self._box.set(choice.scheme if choice else _("kept"))
        self._why.configure(text=layer.reason if layer and not choice else "")

    def _make_line(self) -> None:
        """Scheme and rank of the chosen layer, and why it is kept."""
        line = ttk.Frame(self)
        line.pack(side="bottom", fill="x", pady=(8, 0))
        scheme = ttk.Label(line, text=_("Scheme"))
        self._box = ttk.Combobox(line, values=[_("kept"), *_SCHEMES], state="readonly", width=11)
        self._box.bind(
            "<<ComboboxSelected>>", lambda _event: self.scheme.set(("", *_SCHEMES)[self._box.current()])
        )
        rank = ttk.Label(line, text=_("Rank"))
        entry = ttk.Entry(line, textvariable=self.rank, width=14)
        button = ttk.Button(line, text=_("Change layer"), bootstyle="secondary-outline", command=self.apply)
        flow(line, [scheme, self._box, rank, entry, button])
        entry.bind("<Return>", lambda _event: button.invoke())
        self._why = ttk.Label(self, bootstyle="secondary", justify="left")
        self._why.pack(side="bottom", fill="x", pady=(8, 0))
        wrap(self._why)


def choice_of(layer: str, scheme: str, rank: str) -> Choice | None:
    """What was typed for a layer; None to keep it.

    Raises:
        PlanError: the rank is no numbers above 0.

    Example:
        >>> choice_of("conv", "btd", "16x3x3")
        Choice(scheme='btd', rank=(16, 3, 3))
    """
    if not scheme:
        return None
    parts = [part for part in re.split(r"[\s,x]+", rank.strip()) if part]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise PlanError(f"{layer}: the rank {rank!r} is no list of numbers above 0; write it as 16x3x3")
    return Choice(scheme, tuple(map(int, parts)))
