"""The manual: an article on each setting, made from the settings schema, and pages of the docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tenfold.config import (
    CompressSettings,
    InspectSettings,
    LearnSettings,
    NetworkSettings,
    Setting,
    settings_of,
)
from tenfold.studio.form import label, text_of
from tenfold.studio.language import _

__all__ = ["LEAD", "Article", "articles", "page_files", "search", "setting_article", "settings_page"]

_JOBS: Mapping[str, type[NetworkSettings]] = {
    "compress": CompressSettings,
    "search": CompressSettings,
    "learn": LearnSettings,
    "inspect": InspectSettings,
}
_PAGES = Path(__file__).parent / "pages"
_LOGIN = Path(__file__).parent / "login.md"


@dataclass(frozen=True)
class Article:
    """A piece of the manual.

    Attributes:
        key: names it for good; of a setting its name.
        title: what a list of articles shows.
        group: under which the list shows it.
        text: Markdown, without the title.
    """

    key: str
    title: str
    group: str
    text: str


@dataclass(frozen=True)
class _Described:
    """A setting in all jobs that have it."""

    name: str
    jobs: Mapping[str, Setting]

    @property
    def first(self) -> Setting:
        """As the first of the jobs has it."""
        return next(iter(self.jobs.values()))


def articles() -> tuple[Article, ...]:
    """All of the manual, in the language in use: the methods, settings page by page, and the login."""
    *methods, login = page_files()
    pages = tuple(Article(f"method/{path.stem}", *_read(path, _("Methods"))) for path in methods)
    settings = tuple(setting_article(name) for name in _described())
    return (*pages, *settings, Article("page/login", *_read(login, _("Accounts"))))


def setting_article(name: str) -> Article:
    """The article on a setting.

    Raises:
        KeyError: no job has a setting of that name.

    Example:
        >>> article = setting_article("epochs")
        >>> article.group, "--epochs" in article.text
        ('Training', True)
    """
    described = _described()[name]
    return Article(name, _(label(name)), _(described.first.page), "\n".join(_lines(described)) + "\n")


def search(query: str, among: Iterable[Article]) -> list[Article]:
    """The articles that hold all words of `query`, those with them in the title first.

    Example:
        >>> [article.key for article in search("label smooth", articles())]
        ['smoothing']
    """
    words = query.casefold().split()
    found = []
    for place, article in enumerate(among):
        title = f"{article.title} {article.key} {article.key.replace('_', ' ')}".casefold()
        whole = f"{title} {article.group} {article.text}".casefold()
        if all(word in whole for word in words):
            found.append((-sum(word in title for word in words), place, article))
    return [article for *order, article in sorted(found, key=lambda row: row[:2])]


def settings_page() -> str:
    """The text of docs/settings.md: every setting of every job, page by page."""
    lines = [f"# {_('Settings')}", "", _(LEAD), ""]
    group = ""
    for name in _described():
        article = setting_article(name)
        if article.group != group:
            group = article.group
            lines += [f"## {group}", ""]
        lines += [f"### {article.key}", "", article.text]
    return "\n".join(lines)


def page_files() -> list[Path]:
    """The pages as they ship: those of docs/methods, the first one first, and the one on the login."""
    methods = sorted(_PAGES.glob("*.md"), key=lambda path: (path.stem != "index", path.stem))
    return [*methods, _LOGIN]


LEAD = (
    "Every setting of every job, as the command line, job files and the form of `tenfold studio` have it. "
    "This page is made from the settings schema."
)


@cache
def _described() -> dict[str, _Described]:
    """All settings by name, in the order in which a form shows them."""
    found: dict[str, dict[str, Setting]] = {}
    for job, schema in _JOBS.items():
        for setting in settings_of(schema):
            found.setdefault(setting.name, {})[job] = setting
    pages = list(dict.fromkeys(setting.page for schema in _JOBS.values() for setting in settings_of(schema)))
    order = sorted(found, key=lambda name: pages.index(next(iter(found[name].values())).page))
    return {name: _Described(name, found[name]) for name in order}


def _lines(described: _Described) -> list[str]:
    """What is said of a setting."""
    setting = described.first
    option = f"--{described.name.replace('_', '-')}"
    lines = [*_meanings(described), "", f"- {_('Command line')}: `{option}`"]
    lines.append(f"- {_('Jobs')}: {', '.join(f'`{job}`' for job in described.jobs)}")
    lines.append(f"- {_('Default')}: {_by_job({job: _default(job, x) for job, x in described.jobs.items()})}")
    lines += [f"- {title}: {text}" for title, text in _limits(described) if text]
    if setting.expert:
        lines.append(f"- {_('For experts: the default serves most users.')}")
    return lines


def _meanings(described: _Described) -> list[str]:
    """What it means; job by job where they differ."""
    return _by_job({job: _(x.help) for job, x in described.jobs.items()}, "\n\n").split("\n")


def _by_job(texts: Mapping[str, str], between: str = "; ") -> str:
    """What is said of each job; jobs of which the same is said stand together, all of them unnamed."""
    jobs: dict[str, list[str]] = {}
    for job, text in texts.items():
        jobs.setdefault(text, []).append(f"`{job}`")
    if len(jobs) == 1:
        return next(iter(jobs))
    return between.join(f"{', '.join(names)}: {text}" for text, names in jobs.items())


def _default(job: str, setting: Setting) -> str:
    """What a job takes where nothing is given."""
    if setting.required:
        return _("has to be given")
    if _JOBS[job].model_fields[setting.name].default_factory is not None:
        return _("depends on the machine")
    return text_of(setting.name, setting.default) or _("not set")


def _limits(described: _Described) -> list[tuple[str, str]]:
    """What it may be, what sets it and what it needs; a text is empty where there is nothing to say."""
    setting = described.first
    choices = dict.fromkeys(choice for x in described.jobs.values() for choice in x.choices)
    ends = ((_("at least"), setting.low), (_("at most"), setting.high))
    return [
        (_("Choices"), ", ".join(f"`{choice}`" for choice in choices)),
        (_("Range"), ", ".join(f"{word} {value:g}" for word, value in ends if value is not None)),
        (_("Set by methods"), ", ".join(f"`{key}`: {text}" for key, text in _presets(described))),
        (_("Means something only with"), ", ".join(_need(*need) for need in setting.needs.items())),
    ]


def _presets(described: _Described) -> list[tuple[str, str]]:
    """The methods that set it, and to what."""
    every = {key: values for schema in _JOBS.values() for key, values in schema.presets.items()}
    name = described.name
    return [(key, text_of(name, values[name])) for key, values in every.items() if name in values]


def _need(name: str, values: tuple[str, ...] | None) -> str:
    """Another setting, and with what it must have."""
    return f"`{name}` {_('above 0')}" if values is None else f"`{name}` = {' | '.join(values)}"


def _read(path: Path, group: str) -> tuple[str, str, str]:
    """Title, group and text of a page."""
    head, _rest, text = path.read_text(encoding="utf-8").partition("\n")
    return head.lstrip("# ").strip(), group, text.strip() + "\n"
