"""The window, used as a person uses it, on a screen of its own."""

from __future__ import annotations

import json
import time
import tkinter.font as tkfont

import pytest

from display import lasting_display
from studio_samples import PASSWORD, QUICK, failed
from tenfold.config import settings_of
from tenfold.studio.accounts import Accounts
from tenfold.studio.curves import LiveCurve
from tenfold.studio.form import METHODS, Form
from tenfold.studio.manual import articles
from tenfold.studio.ui.login import ChangeScreen, FirstScreen, LockScreen, LoginScreen
from tenfold.studio.ui.shell import PAGES
from window_driver import Heartbeat, User, seen

pytestmark = pytest.mark.slow


def test_the_first_start_makes_the_administrator(user):
    assert isinstance(user.window._screen, FirstScreen)
    user.fill(name="Ada", password=PASSWORD, again=PASSWORD + "!")
    user.press()
    assert "differ" in user.message
    user.fill(name="Ada", password="short", again="short")
    user.press()
    user.until(lambda: user.message and "differ" not in user.message)
    assert user.window.shell is None
    user.begin()
    assert user.window.user.administrator
    assert user.window.shell.page == "new"
    user.window.log_out()
    assert isinstance(user.window._screen, LoginScreen)
    assert user.window._screen.form.text("name") == "Ada"


def test_wrong_passwords_are_refused_and_then_throttled_even_after_a_restart(user, tmp_path):
    user.begin()
    user.window.log_out()
    user.log_in("Ada", "wrong and long")
    user.until(lambda: user.message)
    assert "too many" not in user.message
    assert user.window._screen.form.text("password") == ""
    for ago_s in range(50_000, -1, -5_000):  # far enough from each other to be looked at
        when = time.time() - ago_s
        failed(Accounts(user.window.store._database, hasher=QUICK, now=lambda when=when: when), "Ada")
    user.window.close()
    user.window = User.at(tmp_path / "data").window
    user.log_in("Ada", PASSWORD)
    user.until(lambda: user.message)
    assert "too many failed logins; try again in" in user.message
    assert str(user.window._screen.form.button.cget("state")) == "disabled"
    first = user.message
    user.until(lambda: user.message != first)  # the seconds are counted down
    assert user.window.shell is None


def test_the_screen_locks_itself_and_opens_again(user):
    user.begin()
    user.window.session.idle_s = 0.2
    user.until(lambda: isinstance(user.window._screen, LockScreen))
    assert not user.window.shell.winfo_ismapped()
    assert "New job" not in user.texts()
    user.window.session.idle_s = 600
    user.fill(password="wrong and long")
    user.press()
    user.until(lambda: user.message)
    assert not user.window.shell.winfo_ismapped()
    user.fill(password=PASSWORD)
    user.press()
    user.until_in()
    assert "New job" in user.texts()


def test_a_given_password_is_changed_before_anything_else(user):
    user.begin()
    page = user.open("accounts")
    page.add("Grace", administrator=False)
    user.until(lambda: page.given.get())
    given = page.given.get()
    user.until(lambda: page.users.exists("Grace"))
    user.window.log_out()
    user.log_in("Grace", given)
    user.until(lambda: isinstance(user.window._screen, ChangeScreen))
    assert user.window.shell is None
    user.fill(old=given, new=f"{PASSWORD} or so", again=f"{PASSWORD} or so")
    user.press()
    user.until_in()
    page = user.open("accounts")
    assert not hasattr(page, "users")
    assert "Change password" in user.texts(page)


def test_every_setting_is_a_field_and_an_article(user):
    user.begin()
    form = user.open("new").parameters
    for method, schema in METHODS.items():
        given = Form({"method": method})
        for setting in settings_of(schema):
            for name, wanted in setting.needs.items():
                given.set(name, wanted[0] if wanted else "1")
        user.page.load(given)
        form.show_expert(True)
        for setting in settings_of(schema):
            if setting.name == "method":
                continue
            form.open_at(setting.name)
            user.until(
                lambda name=setting.name: name in form._rows and form._rows[name].frame.winfo_ismapped()
            )
            form._asked(setting.name)
            user.look(0)
            assert user.window.shell.page == "manual"
            assert user.page.key == setting.name
            assert user.page.table.bbox(setting.name)  # it is in view
            assert setting.help.split(":")[0][:30] in user.page.text.get("1.0", "end")
            user.window.open("new")
    manual = user.open("manual")
    rows = [row for group in manual.table.get_children() for row in manual.table.get_children(group)]
    assert sorted(rows) == sorted(article.key for article in articles())
    manual.sought.set("label smoothing")
    assert manual.key == "smoothing"
    manual._set.invoke()
    user.until(lambda: user.window.shell.page == "new")


def test_what_is_wrong_is_said_beside_its_field(user):
    user.begin()
    form = user.open("new").parameters
    user.page.load(Form({"arch": "small", "data": "digits", "budget": {"params": 0.5}, "epochs": 1}))
    form.open_at("epochs")
    user.until(lambda: "epochs" in form._rows)
    entry = form._rows["epochs"].editor.focus
    entry.delete(0, "end")
    entry.insert(0, "-3")
    user.until(lambda: "greater than or equal to 0" in str(form._rows["epochs"].note.cget("text")))
    assert any(text.endswith("!") for text in _tabs(form))
    entry.delete(0, "end")
    entry.insert(0, "3")
    user.until(lambda: "greater" not in str(form._rows["epochs"].note.cget("text")))
    assert not any(text.endswith("!") for text in _tabs(form))
    assert form.form.settings().epochs == 3


def _tabs(form):
    return [str(form._book.tab(tab, "text")) for tab in form._book.tabs()]


def test_control_a_selects_all_in_a_field(user):
    user.begin()
    form = user.open("new").parameters
    form.open_at("weights")
    user.until(lambda: "weights" in form._rows)
    entry = form._rows["weights"].editor.focus
    entry.insert(0, "some/path")
    entry.focus_force()
    user.look()
    entry.event_generate("<Control-a>")
    user.look()
    assert entry.selection_get() == "some/path"


def test_all_can_be_reached_on_a_small_screen(user):
    user.begin()
    user.window.geometry("640x480+0+0")
    user.look(0.3)
    for key in PAGES:
        page = user.open(key)
        user.look(0.3)
        low = user.window.winfo_rooty() + 480
        for tab in tabs(page) or [page]:
            if tab is not page:
                tab.master.select(tab)
            user.look(0.3)
            for widget in seen(page):
                # a packer takes what it has no room for off the screen
                hidden = [x for x in widget.winfo_children() if is_laid_out(x) and not x.winfo_ismapped()]
                assert not hidden, (key, list(map(str, hidden)))
                if widget.winfo_class() in ("TButton", "TEntry", "TCombobox"):
                    right = widget.winfo_rootx() + min(widget.winfo_width(), widget.winfo_reqwidth())
                    assert right <= end_of_room(widget), (key, str(widget))
                if widget.winfo_class() == "TButton" and str(widget.cget("text")):
                    assert widget.winfo_width() >= 0.9 * widget.winfo_reqwidth(), (key, widget.cget("text"))
        named = [x for x in user.window.shell._bar.winfo_children() if x.winfo_class() == "TButton"]
        assert all(button.winfo_rooty() + button.winfo_height() <= low for button in named)


def tabs(page):
    """What the tabs of a page show."""
    books = [widget for widget in seen(page) if widget.winfo_class() == "TNotebook"]
    shown = [(book, tab) for book in books for tab in book.tabs() if book.tab(tab, "state") == "normal"]
    return [book.nametowidget(tab) for book, tab in shown]


def is_laid_out(widget):
    """Whether a widget has a place in what it stands in, other than behind a tab."""
    return widget.winfo_manager() in ("pack", "grid", "place")


def end_of_room(widget):
    """Where what a widget stands in ends on the right, and all that this stands in."""
    ends = []
    while widget.master is not None:
        widget = widget.master
        ends.append(widget.winfo_rootx() + widget.winfo_width())
    return min(ends)


def test_the_tab_key_goes_from_top_to_bottom(user):
    user.begin()
    for key, last in (("new", "Save ..."), ("package", "Pack"), ("accounts", "Add")):
        assert reach(user, user.open(key))[-1].cget("text") == last
    form = user.open("new").parameters
    form.form.set("epochs", "3")
    form.form.set("schedule", "constant")
    form.show(form.form)
    form.open_at("schedule")
    user.until(lambda: "distillation" in form._rows)
    form.form.set("schedule", "cosine-cyclic")  # which has a field more, above some that are there
    form.show(form.form)
    user.until(lambda: "cycles" in form._rows)
    places = [widget.winfo_rooty() for widget in reach(user, form)]
    assert len(places) > 5
    assert places == sorted(places)


def reach(user, page):
    """What the Tab key reaches on a page or a part of it, in its order."""
    user.look(0.3)
    reached, widget = [], page
    while (widget := widget.tk_focusNext()) not in reached and str(widget).startswith(str(page)):
        reached.append(widget)
    return reached


def test_no_text_is_cut_off_on_a_screen_of_many_pixels(tmp_path, surroundings, monkeypatch):
    monkeypatch.setenv("DISPLAY", lasting_display("2000x1400", "-dpi", "192").name)
    user = User.at(tmp_path / "data")
    user.begin()
    user.window.store.accounts.add(user.window.session, "Grace")
    user.window.store.queue.add(user.window.session, "export", {"run": "nowhere"})
    filled = {"accounts": lambda x: x.users.exists("Grace"), "jobs": lambda x: x.table.get_children()}
    for key in PAGES:
        page = user.open(key)
        if key in filled:
            user.until(lambda key=key, page=page: filled[key](page))
        user.look(0.5)
        labels = [widget for widget in seen(page) if widget.winfo_class() == "TLabel"]
        assert labels
        for label in labels:
            room = label.master.winfo_width() - label.winfo_x()
            assert label.winfo_reqwidth() <= room, (key, label.cget("text"))
        for table in (widget for widget in seen(page) if widget.winfo_class() == "Treeview"):
            check_cells(table)
    curves = user.open("jobs")._curves
    curves.show(LiveCurve("training", "Fine-tuning", (1, 2, 3), (0.0123, 0.1, 0.5), (0.0015, 0.1, 0.2)))
    left, top, right, bottom = curves.bbox("all")
    assert 0 <= left < right <= curves.winfo_width()
    assert 0 <= top < bottom <= curves.winfo_height()
    user.leave()


def check_cells(table):
    """No title, time or state of a table is wider than its column."""
    font = tkfont.nametofont("TkDefaultFont", root=table)
    for place, name in enumerate(table.cget("columns")):
        if name in table.cget("displaycolumns"):
            texts = [
                table.heading(name, "text"),
                *(table.item(x, "values")[place] for x in table.get_children()),
            ]
            for text in texts:
                assert font.measure(text) < table.column(name, "width"), text


def test_keys_open_pages(user):
    user.begin()
    user.window.focus_force()
    user.look()
    for number, key in enumerate(PAGES, start=1):
        user.window.event_generate(f"<Control-Key-{number}>")
        user.look()
        assert user.window.shell.page == key


def test_the_window_is_found_as_it_was_left(user, tmp_path):
    user.begin()
    user.window.geometry("800x600+30+40")
    user.window.use_mode("dark")
    user.window.use_language("zh")
    user.look(0.3)
    assert "新任务" in user.texts()
    user.window.close()
    kept = json.loads((tmp_path / "data" / "window.json").read_text())
    assert (kept["mode"], kept["language"], kept["name"]) == ("dark", "zh", "Ada")
    user.window = User.at(tmp_path / "data").window
    user.look(0.3)
    assert (user.window.winfo_width(), user.window.winfo_height()) == (800, 600)
    assert user.window.theme_mode == "dark"
    assert "登录" in user.texts()


def test_another_language_keeps_the_form_the_page_and_the_lock(user):
    user.begin()
    user.open("new").parameters.form.set("epochs", "77")
    user.open("manual", key="smoothing")
    user.window.use_language("zh")
    user.until(lambda: user.page.key == "smoothing")
    assert user.window.shell.page == "manual"
    assert user.window.shell.pages["new"].parameters.form.text("epochs") == "77"
    user.window.lock()
    user.window.use_language("en")
    assert isinstance(user.window._screen, LockScreen)
    user.until(lambda: "Unlock" in user.texts())
    user.fill(password=PASSWORD)
    user.press()
    user.until_in()
    assert user.window.shell.page == "manual"
    assert user.window.shell.pages["new"].parameters.form.text("epochs") == "77"
    user.window.log_out()
    user.log_in("Ada", PASSWORD)
    user.until_in()
    assert user.window.shell.page == "new"
    assert user.page.parameters.form.text("epochs") == "0"


def test_numbers_that_are_none_are_refused(user):
    user.begin()
    page = user.open("accounts")
    user.until(lambda: page._at_once.get() == "1")
    (book,) = (widget for widget in page.winfo_children() if widget.winfo_class() == "TNotebook")
    book.select(next(tab for tab in book.tabs() if book.tab(tab, "text") == "Settings"))
    user.look()
    _minutes, jobs = (x for x in seen(page) if x.winfo_class() == "TButton" and x.cget("text") == "Set")
    for text in ("inf", "2.5", "many"):
        page._at_once.set(text)
        jobs.invoke()
        assert user.told == f"'{text}' is no number; type one."
    page._at_once.set("2")
    jobs.invoke()
    user.until(lambda: user.told == "Saved.")
    assert user.window.store.queue.at_once == 2


def test_a_heartbeat_notices_a_window_that_hangs(user, display):
    user.begin()
    heart = Heartbeat(user.window, display)
    heart.start()
    user.look(0.2)
    user.window.after(1, lambda: time.sleep(0.3))
    user.look(0.5)
    heart.stop()
    assert max(heart.gaps) > 0.25
