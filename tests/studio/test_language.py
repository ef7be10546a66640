"""The catalogues hold every text of the program, and what is compiled is what stands in them."""

from __future__ import annotations

import gettext
import importlib.util
import re
from pathlib import Path

import pytest

from tenfold.studio.language import LANGUAGES, _, language_of_system, use_language, used_language
from tenfold.studio.manual import setting_article, settings_page

ROOT = Path(__file__).parent.parent.parent
REMAKE = "run scripts/catalogues.py, and translate what it lists"


@pytest.fixture(scope="module")
def catalogues():
    spec = importlib.util.spec_from_file_location("catalogues", ROOT / "scripts" / "catalogues.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chinese():
    use_language("zh")
    yield
    use_language("en")


def test_every_text_is_translated(catalogues):
    texts = catalogues.texts()
    assert len(texts) > 250
    held = catalogues.translations("zh")
    assert texts == held.keys(), REMAKE
    assert [text for text, found in held.items() if not found] == [], REMAKE


def test_translations_keep_what_is_filled_in(catalogues):
    for text, found in catalogues.translations("zh").items():
        assert sorted(re.findall(r"\{[^}]*\}", text)) == sorted(re.findall(r"\{[^}]*\}", found)), text


@pytest.mark.parametrize("code", list(LANGUAGES))
def test_the_compiled_catalogue_is_the_written_one(catalogues, code):
    with (catalogues.folder(code) / "studio.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = catalogues.translations(code)
    assert {text: compiled.gettext(text) for text in written} == written


def test_texts_inside_of_f_strings_are_found(catalogues):
    assert "left in this phase" in catalogues.texts()


@pytest.mark.usefixtures("chinese")
def test_texts_are_shown_in_the_language_in_use():
    assert used_language() == "zh"
    assert _("New job") == "新任务"
    assert "轮数" in setting_article("epochs").title
    assert settings_page() != (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("named", "code"), [("zh_CN.UTF-8", "zh"), ("de_DE", "en"), ("C", "en"), ("en_GB.UTF-8", "en")]
)
def test_the_system_says_which_language_it_speaks(monkeypatch, named, code):
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", named)
    assert language_of_system() == code


def test_there_is_no_other_language():
    with pytest.raises(KeyError):
        use_language("de")
    assert used_language() == "en"
