"""Who gets in, who does not, how long that takes, and what is written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio_samples import PASSWORD, Opened, failed, opened
from tenfold.studio.accounts import Accounts
from tenfold.studio.audit import UNKNOWN
from tenfold.studio.errors import (
    AccountError,
    LoginError,
    PasswordError,
    RightsError,
    SessionError,
    StorageError,
)
from tenfold.studio.passwords import check_password
from tenfold.studio.sessions import Session


class TestFirstStart:
    def test_there_is_no_account_and_no_default_password(self, data: Opened) -> None:
        assert data.accounts.is_new
        assert data.database.read("SELECT * FROM user") == []
        for name, password in (("administrator", "administrator"), ("admin", ""), ("", "")):
            failed(data.accounts, name, password)

    def test_makes_one_administrator_and_no_second(self, data: Opened) -> None:
        user = data.accounts.user(data.administrator())
        assert (user.name, user.administrator, user.must_change) == ("Ada", True, False)
        assert not data.accounts.is_new
        with pytest.raises(AccountError, match="an administrator already"):
            data.accounts.create_administrator("Eve", PASSWORD)

    def test_a_weak_password_makes_none(self, data: Opened) -> None:
        with pytest.raises(PasswordError):
            data.accounts.create_administrator("Ada", "short")
        assert data.accounts.is_new


class TestPasswords:
    def test_only_an_argon2id_hash_is_stored(self, data: Opened) -> None:
        data.administrator()
        (row,) = data.database.read("SELECT * FROM user")
        assert row["password"].startswith("$argon2id$v=19$m=8,t=1,p=1$")
        files = b"".join(file.read_bytes() for file in data.database.path.parent.glob("studio.db*"))
        assert row["password"].encode() in files
        assert PASSWORD.encode() not in files

    @pytest.mark.parametrize(
        ("password", "message"),
        [
            ("123456789", "has 9 signs"),
            ("x" * 1025, "has 1025 signs"),
            ("ﬀﬀﬀﬀ", "has 8 signs"),  # four ligatures, which are compared as eight letters
            ("Grace Hopper", "name of the account"),
            ("..GRACE hopper1906", "name of the account"),
            ("Password123", "most common"),
            ("qwertyuiop", "most common"),
            ("ababababababab", "repeats a few signs"),
        ],
    )
    def test_weak_ones_are_refused(self, password: str, message: str) -> None:
        with pytest.raises(PasswordError, match=message):
            check_password(password, "grace hopper")

    @pytest.mark.parametrize(
        "password",
        ["x y z w v u", "correcthorse", "grace hopper's cat", "日本語のパスワード十", "z" * 1021 + "abc"],
    )
    def test_length_is_all_that_is_asked_for(self, password: str) -> None:
        check_password(password, "grace hopper")

    def test_signs_may_be_typed_in_any_way(self, data: Opened) -> None:
        data.accounts.create_administrator("Zoe\u0308", "cafe\u0301 in the rain")
        assert not data.accounts.login("ZO\u00cb ", "caf\u00e9 in the rain").locked

    def test_a_login_hashes_anew_when_parameters_have_changed(self, tmp_path: Path) -> None:
        def stored(found: Opened) -> str:
            return str(found.database.read("SELECT password FROM user")[0]["password"])

        with opened(tmp_path) as before:
            before.administrator()
            old = stored(before)
        with opened(tmp_path, PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)) as after:
            failed(after.accounts, "Ada")
            assert stored(after) == old
            after.accounts.login("Ada", PASSWORD)
            new = stored(after)
            assert "$m=16,t=2,p=1$" in new
            after.accounts.login("Ada", PASSWORD)
            assert stored(after) == new

    def test_a_change_needs_the_old_one_and_ends_other_sessions(self, data: Opened) -> None:
        session, other = data.administrator(), data.accounts.login("Ada", PASSWORD)
        with pytest.raises(LoginError):
            data.accounts.change_password(session, "wrong and long", "a new sentence")
        with pytest.raises(PasswordError, match="is the old one"):
            data.accounts.change_password(session, PASSWORD, PASSWORD)
        data.accounts.change_password(session, PASSWORD, "a new sentence")
        assert data.accounts.user(session).name == "Ada"
        with pytest.raises(SessionError, match="over"):
            data.accounts.user(other)
        failed(data.accounts, "Ada", PASSWORD)
        data.accounts.login("Ada", "a new sentence")

    def test_a_stored_text_that_is_no_hash_is_no_wrong_password(self, data: Opened) -> None:
        data.administrator()
        with data.database.transaction() as connection:
            connection.execute("UPDATE user SET password = 'counting to 1815'")
        with pytest.raises(StorageError, match="cannot be read"):
            data.accounts.login("Ada", PASSWORD)


class TestAdministration:
    def test_a_given_password_must_be_changed_first(self, data: Opened) -> None:
        session = data.administrator()
        given = data.accounts.add(session, "Grace")
        own = data.accounts.login("grace", given)
        assert data.accounts.user(own).must_change
        with pytest.raises(SessionError, match="change it first"):
            data.accounts.checked(own)
        data.accounts.change_password(own, given, "nanoseconds of wire")
        assert data.accounts.checked(own).name == "Grace"
        failed(data.accounts, "Grace", given)

    def test_a_reset_ends_sessions_and_forgets_failures(self, data: Opened) -> None:
        session = data.administrator()
        own = data.member(session)
        for _ in range(3):
            failed(data.accounts, "Grace")
        given = data.accounts.reset(session, "GRACE")
        with pytest.raises(SessionError, match="over"):
            data.accounts.user(own)
        failed(data.accounts, "Grace", f"{PASSWORD} or so")
        assert data.accounts.user(data.accounts.login("Grace", given)).must_change
        with pytest.raises(AccountError, match="your own account"):
            data.accounts.reset(session, "Ada")

    def test_the_last_active_administrator_stays(self, data: Opened) -> None:
        session = data.administrator()
        with pytest.raises(AccountError, match="Ada is the last active administrator"):
            data.accounts.disable(session, "ada")
        given = data.accounts.add(session, "Emmy", administrator=True)
        data.accounts.disable(session, "Ada")
        emmy = data.accounts.login("Emmy", given)
        data.accounts.change_password(emmy, given, "rings with chain conditions")
        with pytest.raises(AccountError, match="Emmy is the last"):
            data.accounts.disable(emmy, "Emmy")

    def test_a_disabled_account_is_out_until_it_is_enabled(self, data: Opened) -> None:
        session = data.administrator()
        own, other = data.member(session), data.accounts.login("Grace", f"{PASSWORD} or so")
        data.accounts.disable(session, "Grace")
        with pytest.raises(SessionError):
            data.accounts.user(own)
        assert "wrong" in failed(data.accounts, "Grace", "something else")  # not told to strangers
        assert "is disabled" in failed(data.accounts, "Grace", f"{PASSWORD} or so")
        assert data.accounts.audit(session, 1)[0].outcome == "refused: disabled"
        data.accounts.enable(session, "Grace")
        data.accounts.login("Grace", f"{PASSWORD} or so")
        for old in (own, other):  # whether anything was done in it meanwhile or not
            with pytest.raises(SessionError, match="over"):
                data.accounts.user(old)

    @pytest.mark.parametrize(
        "act",
        [
            lambda accounts, session: accounts.users(session),
            lambda accounts, session: accounts.audit(session),
            lambda accounts, session: accounts.add(session, "Eve"),
            lambda accounts, session: accounts.disable(session, "Ada"),
            lambda accounts, session: accounts.enable(session, "Ada"),
            lambda accounts, session: accounts.reset(session, "Ada"),
            lambda accounts, session: accounts.set_idle_minutes(session, 60),
        ],
    )
    def test_others_may_do_none_of_it(self, data: Opened, act: Callable[[Accounts, Session], Any]) -> None:
        own = data.member(data.administrator())
        before = [tuple(row) for row in data.database.read("SELECT * FROM user")]
        with pytest.raises(RightsError, match="Grace is no administrator"):
            act(data.accounts, own)
        assert [tuple(row) for row in data.database.read("SELECT * FROM user")] == before

    def test_names_that_look_alike_are_one(self, data: Opened) -> None:
        session = data.administrator()
        data.accounts.add(session, "Straße")
        for name in ("STRASSE", " straße", "Ａda"):
            with pytest.raises(AccountError, match="already"):
                data.accounts.add(session, name)
        for name in ("", " ", "a\nb", "a\u200bb", "x" * 65, UNKNOWN):
            with pytest.raises(AccountError, match=r"signs|seen"):
                data.accounts.add(session, name)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.text(alphabet=st.characters(), max_size=70))
    def test_any_name_is_an_account_or_refused(self, data: Opened, name: str) -> None:
        session = data.administrator() if data.accounts.is_new else data.accounts.login("Ada", PASSWORD)
        users = len(data.accounts.users(session))
        try:
            given_password = data.accounts.add(session, name)
        except AccountError:
            assert len(data.accounts.users(session)) == users
            failed(data.accounts, f"{name}\udfff", "\udfff is half a sign")
            data.now += 1e6  # no matter how often
        else:
            assert data.accounts.user(data.accounts.login(name, given_password)).must_change
