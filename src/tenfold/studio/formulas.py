"""Formulas of the manual in plain signs, for a window that sets no mathematics."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["plain"]

_SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "lambda": "λ", "mu": "μ",
    "sigma": "σ", "tau": "τ", "theta": "θ", "Theta": "Θ", "Delta": "Δ", "Sigma": "Σ", "Lambda": "Λ",
    "sum": "Σ", "prod": "Π", "to": "→", "le": "≤", "ge": "≥", "ne": "≠", "approx": "≈", "sim": "~",
    "cdot": "·", "cdots": "⋯", "ldots": "…", "dots": "…", "times": "×", "in": "∈", "infty": "∞",
    "lVert": "‖", "rVert": "‖", "Vert": "‖", "lvert": "|", "rvert": "|", "mid": "|", "top": "T",
    "leftarrow": "←", "rightarrow": "→", "mapsto": "↦", "pm": "±", "ll": "≪", "gg": "≫", "otimes": "⊗",
    "odot": "⊙", "partial": "∂", "nabla": "∇", "ell": "ℓ", "langle": "⟨", "rangle": "⟩", "forall": "∀",
    "quad": "   ", "qquad": "      ", "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "",
}  # fmt: skip
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_RULES = (
    (re.compile(r"\\frac" + _GROUP + _GROUP), r"(\1) / (\2)"),
    (re.compile(r"\\sqrt" + _GROUP), r"√(\1)"),
    (re.compile(r"\\(?:text|mathrm|operatorname|mathbf|mathcal|mathbb)\*?" + _GROUP), r"\1"),
    (re.compile(r"\\(?:hat|widehat)\s*(?:" + _GROUP + r"|(\w))"), "\\1\\2\u0302"),
    (re.compile(r"\\(?:tilde|widetilde)\s*(?:" + _GROUP + r"|(\w))"), "\\1\\2\u0303"),
    (re.compile(r"\\(?:bar|overline)\s*(?:" + _GROUP + r"|(\w))"), "\\1\\2\u0304"),
    (re.compile(r"\\\\"), "\n"),
    (re.compile(r"\\[,;:! ]|&|~"), " "),
    (re.compile(r"\\([{}%_#$&|])"), r"\1"),
)
_DIGITS = str.maketrans("0123456789+-T", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ")


def plain(latex: str) -> str:
    r"""A formula in plain signs; a command that is not known loses its backslash.

    Example:
        >>> plain(r"\lVert W - \hat W \rVert_F^2 \le \frac{a}{b}")
        '‖ W - Ŵ ‖_F² ≤ (a) / (b)'
    """
    for _round in range(3):  # groups inside of groups
        for pattern, by in _RULES:
            latex = pattern.sub(by, latex)
    latex = re.sub(
        r"\\([A-Za-z]+)\s?", lambda m: _SIGNS.get(m[1], m[1]) + (" " if m[0][-1] == " " else ""), latex
    )
    latex = re.sub(r"\^(?:\{([\d+\-T]+)\}|([\dT]))", lambda m: (m[1] or m[2]).translate(_DIGITS), latex)
    latex = re.sub(
        r"([_^])" + _GROUP, lambda m: f"{m[1]}{m[2]}" if len(m[2]) == 1 else f"{m[1]}({m[2]})", latex
    )
    return unicodedata.normalize(
        "NFC", re.sub(r"[ \t]+", " ", latex.replace("{", "").replace("}", "")).strip()
    )
