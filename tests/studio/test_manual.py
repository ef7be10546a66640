"""The manual: made from the schema, the same in the program and in the docs."""

from pathlib import Path

import pytest

from tenfold.config import CompressSettings, InspectSettings, LearnSettings, settings_of
from tenfold.studio.manual import articles, page_files, search, setting_article, settings_page

ROOT = Path(__file__).parent.parent.parent
REMAKE = "run scripts/manual.py"


@pytest.mark.parametrize("schema", [CompressSettings, LearnSettings, InspectSettings])
def test_every_setting_has_an_article_with_all_the_schema_says(schema):
    by_key = {article.key: article for article in articles()}
    for setting in settings_of(schema):
        article = by_key[setting.name]
        assert article.group == setting.page
        assert setting.help in article.text
        assert f"`--{setting.name.replace('_', '-')}`" in article.text
        assert all(f"`{choice}`" in article.text for choice in setting.choices)
        assert all(f"`{name}`" in article.text for name in setting.needs)
        if setting.low is not None:
            assert f"at least {setting.low:g}" in article.text
        assert ("For experts" in article.text) == setting.expert


def test_defaults_that_differ_between_jobs_are_told_apart():
    assert "- Default: `compress`, `search`: 0; `learn`: 12\n" in setting_article("epochs").text
    assert "- Default: 0.9\n" in setting_article("momentum").text
    assert "- Set by methods: `btd-bayes`: 15\n" in setting_article("epochs").text
    assert "- Default: depends on the machine\n" in setting_article("workers").text
    assert "- Choices: `btd-bayes`, `lc`\n" in setting_article("method").text


def test_keys_name_one_article_each():
    keys = [article.key for article in articles()]
    assert len(set(keys)) == len(keys)
    with pytest.raises(KeyError):
        setting_article("epoch")


def test_search_finds_all_words_and_puts_titles_first():
    every = articles()
    found = [article.key for article in search("learning rate", every)]
    assert {"rate", "schedule", "recovery_rate"} <= set(found)
    assert search("epochs", every)[0].key == "epochs"
    assert search("learning rate qqq", every) == []
    assert [x.key for x in search("", every)] == [x.key for x in every]
    assert search("HELD", every)[0].key == "held_out"


def test_the_page_of_settings_in_the_docs_is_the_manual():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), REMAKE


def test_the_pages_are_those_of_the_docs():
    files = [*(ROOT / "docs" / "methods").glob("*.md"), ROOT / "docs" / "studio-login.md"]
    docs = {path.read_text(encoding="utf-8") for path in files}
    assert {path.read_text(encoding="utf-8") for path in page_files()} == docs
    titles = [article.title for article in articles() if article.group == "Methods"]
    assert len(titles) == len(docs) - 1 > 5
    assert all(title and not title.startswith("#") for title in titles)
    (login,) = search("protects from what not", articles())
    assert (login.group, "an account in it is a row that can be edited" in login.text) == ("Accounts", True)
