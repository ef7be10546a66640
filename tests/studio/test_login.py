"""How long a login has to wait, what is written down, and what an idle session allows."""

from __future__ import annotations

import math
import statistics
import threading
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from studio_samples import PASSWORD, Opened, failed, opened
from tenfold.studio.accounts import Accounts
from tenfold.studio.audit import UNKNOWN
from tenfold.studio.errors import (
    AccountError,
    LoginError,
    SessionError,
    ThrottledError,
)
from tenfold.studio.sessions import Session


def wait_s(accounts: Accounts, name: str) -> float:
    """How long a login has to wait now; asks with a wrong password only where nothing is looked at."""
    with pytest.raises(ThrottledError) as caught:
        accounts.login(name, "wrong and long")
    return caught.value.wait_s


def outcomes(accounts: Accounts, session: Session) -> list[tuple[str, str, str]]:
    """The record, oldest first."""
    return [(entry.name, entry.what, entry.outcome) for entry in reversed(accounts.audit(session))]


class TestThrottling:
    def test_each_failure_doubles_the_wait_up_to_a_quarter_of_an_hour(self, data: Opened) -> None:
        data.administrator()
        waits = []
        for count in range(14):
            failed(data.accounts, "Ada")
            if count >= 2:
                waits.append(wait_s(data.accounts, "ADA"))
                data.now += waits[-1] - 1e-3
                assert wait_s(data.accounts, "Ada") == pytest.approx(1e-3)
                data.now += 1e-3
        assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900])
        data.accounts.login("Ada", PASSWORD)  # the wait is over
        failed(data.accounts, "Ada")
        failed(data.accounts, "Ada")  # and all is forgotten but what holds for all names

    def test_the_right_password_has_to_wait_too(self, data: Opened) -> None:
        data.administrator()
        for _ in range(3):
            failed(data.accounts, "Ada")
        with pytest.raises(ThrottledError, match="try again in 1 s"):
            data.accounts.login("Ada", PASSWORD)

    def test_it_outlives_the_program(self, tmp_path: Path) -> None:
        with opened(tmp_path) as before:
            before.administrator()
            for _ in range(3):
                failed(before.accounts, "Ada")
        with opened(tmp_path) as after:
            assert wait_s(after.accounts, "Ada") == 1
            after.now += 1
            failed(after.accounts, "Ada")
            assert wait_s(after.accounts, "Ada") == 2

    def test_unknown_names_wait_alike_and_are_not_stored(self, data: Opened) -> None:
        data.administrator()
        for _ in range(3):
            assert failed(data.accounts, "my secret sentence") == failed(data.accounts, "Ada")
        assert wait_s(data.accounts, "my secret sentence") == wait_s(data.accounts, "Ada") == 1
        files = b"".join(file.read_bytes() for file in data.database.path.parent.glob("studio.db*"))
        assert b"secret sentence" not in files

    def test_many_names_wait_together(self, data: Opened) -> None:
        session = data.administrator()
        for number in range(9):
            failed(data.accounts, f"name {number}")
        data.accounts.login("Ada", PASSWORD)  # takes nothing back
        waits = []
        for number in range(8):
            failed(data.accounts, f"other {number}")
            waits.append(wait_s(data.accounts, "Ada"))
            data.now += waits[-1]
        assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
        data.now += 3601
        failed(data.accounts, "one more")
        data.accounts.login("Ada", PASSWORD)
        assert len(data.accounts.users(session)) == 1

    def test_a_clock_that_is_set_back_does_not_lock_out(self, data: Opened) -> None:
        data.administrator()
        for _ in range(3):
            failed(data.accounts, "Ada")
        data.now -= 1e6
        assert wait_s(data.accounts, "Ada") == 1
        data.now += 1
        data.accounts.login("Ada", PASSWORD)

    def test_guesses_at_once_count_one_by_one(self, data: Opened) -> None:
        data.administrator()
        met: list[str] = []
        start = threading.Barrier(12)

        def guess() -> None:
            start.wait()
            met.append(failed(data.accounts, "Ada"))

        guesses = [threading.Thread(target=guess) for _ in range(12)]
        for thread in guesses:
            thread.start()
        for thread in guesses:
            thread.join()
        assert len([text for text in met if "is wrong" in text]) == 3

    def test_an_unknown_name_takes_as_long(self, tmp_path: Path) -> None:
        hasher = PasswordHasher(time_cost=3, memory_cost=16384, parallelism=1)

        def seconds(found: Opened, name: str) -> float:
            found.now += 1e6
            begin = time.process_time()
            failed(found.accounts, name)
            return time.process_time() - begin

        with opened(tmp_path, hasher) as found:
            found.administrator()
            known = statistics.median(seconds(found, "Ada") for _ in range(7))
            unknown = statistics.median(seconds(found, "Eve") for _ in range(7))
        assert abs(math.log(known / unknown)) < math.log(1.6)  # without a hash: a factor of ten and more


class TestRecord:
    def test_tells_who_did_what(self, data: Opened) -> None:
        session = data.administrator()
        own = data.member(session)
        failed(data.accounts, "Grace")
        failed(data.accounts, "my secret sentence")
        failed(data.accounts, "Grace")
        failed(data.accounts, "Grace")
        for _ in range(3):
            wait_s(data.accounts, "Grace")  # noted once
        data.accounts.logout(own)
        data.accounts.logout(own)
        data.accounts.disable(session, "Grace")
        assert outcomes(data.accounts, session) == [
            ("Ada", "create administrator", "done"),
            ("Ada", "login", "done"),
            ("Ada", "add Grace", "done"),
            ("Grace", "login", "done"),
            ("Grace", "change password", "done"),
            ("Grace", "login", "refused: wrong name or password"),
            (UNKNOWN, "login", "refused: wrong name or password"),
            ("Grace", "login", "refused: wrong name or password"),
            ("Grace", "login", "refused: wrong name or password"),
            ("Grace", "login", "refused: too many failures"),
            ("Grace", "logout", "done"),
            ("Ada", "disable Grace", "done"),
        ]
        assert data.accounts.audit(session, 1)[0].time == data.now

    def test_what_is_refused_is_not_recorded_as_done(self, data: Opened) -> None:
        session = data.administrator()
        with pytest.raises(AccountError):
            data.accounts.disable(session, "Ada")
        assert len(data.accounts.audit(session)) == 2


class TestIdleLock:
    def test_locks_without_activity_and_opens_by_password(self, data: Opened) -> None:
        session = data.administrator()
        data.awake_s = 599
        session.touch()
        data.awake_s = 1198.9
        data.accounts.users(session)  # is no activity
        data.awake_s = 1199
        session.touch()  # comes too late
        with pytest.raises(SessionError, match="locked"):
            data.accounts.users(session)
        with pytest.raises(SessionError, match="locked"):
            data.accounts.change_password(session, PASSWORD, "a new sentence")
        with pytest.raises(LoginError):
            data.accounts.unlock(session, "wrong and long")
        assert session.locked
        data.accounts.unlock(session, PASSWORD)
        assert len(data.accounts.users(session)) == 1
        data.awake_s += 599
        assert not session.locked

    def test_unlocking_is_throttled_like_a_login(self, data: Opened) -> None:
        session = data.administrator()
        session.lock()
        for _ in range(3):
            with pytest.raises(LoginError):
                data.accounts.unlock(session, "wrong and long")
        with pytest.raises(ThrottledError):
            data.accounts.unlock(session, PASSWORD)
        assert session.locked

    def test_a_session_of_a_disabled_account_stays_locked(self, data: Opened) -> None:
        session = data.administrator()
        own = data.member(session)
        own.lock()
        data.accounts.disable(session, "Grace")
        with pytest.raises(SessionError, match="over"):
            data.accounts.unlock(own, f"{PASSWORD} or so")

    def test_a_clock_that_is_set_back_does_not_unlock(self) -> None:
        now = [0.0]
        session = Session(1, 0, idle_s=60, clock=lambda: now[0])
        now[0] = 60
        assert session.locked
        now[0] = 0
        assert session.locked

    def test_the_minutes_are_kept(self, tmp_path: Path) -> None:
        with opened(tmp_path) as before:
            session = before.administrator()
            before.accounts.set_idle_minutes(session, 2)
            for minutes in (0, 1441, math.nan):
                with pytest.raises(AccountError, match="1 to 1,440"):
                    before.accounts.set_idle_minutes(session, minutes)
            before.awake_s = 119
            assert not session.locked
            before.awake_s = 120
            assert session.locked
        with opened(tmp_path) as after:
            session = after.accounts.login("Ada", PASSWORD)
            after.awake_s = 119
            assert not session.locked
            after.awake_s = 120
            assert session.locked
