"""Events and logs that grow, are cut short and begin anew; what they say about a job."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tenfold.runs.directory import RunDirectory
from tenfold.studio.progress import EventTail, Meter, Progress, last_lines
from tenfold.studio.verdict import judged

GONE = "cannot write {run}/events.jsonl: No such file or directory; free space"


def line(phase: str, done: int, time: float, total: int = 10) -> str:
    return json.dumps({"time": time, "phase": phase, "done": done, "total": total}) + "\n"


class TestTail:
    def test_gives_each_whole_line_once(self, tmp_path: Path) -> None:
        file = tmp_path / "events.jsonl"
        tail = EventTail(file)
        assert tail.read() == []
        found = []
        text = "".join(line("fit", n, n) for n in range(30)).encode()
        for cut in range(0, len(text), 7):  # as if each 7 bytes were written by themselves
            with file.open("ab") as opened:
                opened.write(text[cut : cut + 7])
            found += tail.read()
        assert [event["done"] for event in found] == list(range(30))
        assert not tail.anew

    def test_a_line_that_was_cut_short_is_read_as_it_was_written_again(self, tmp_path: Path) -> None:
        run = RunDirectory.create(tmp_path / "run")
        tail = EventTail(run.events_file)
        run.append_event({"n": 1})
        with run.events_file.open("a") as opened:
            opened.write('{"n": 2')  # killed
        assert tail.read() == [{"n": 1}]
        run.append_event({"n": 3})  # takes the half line away
        assert tail.read() == [{"n": 3}]

    @pytest.mark.parametrize("same", [True, False])
    def test_a_file_made_anew_is_read_anew(self, tmp_path: Path, same: bool) -> None:
        file, other = tmp_path / "events.jsonl", tmp_path / "other"
        file.write_text(line("fit", 1, 1) + line("fit", 2, 2))
        tail = EventTail(file)
        assert len(tail.read()) == 2
        if same:  # the same file, truncated
            file.write_text(line("load", 0, 3))
        else:  # another one of the same size
            other.write_text(line("load", 0, 3) + line("fit", 1, 4))
            other.replace(file)
        assert tail.read()[0]["phase"] == "load"
        assert tail.anew

    def test_what_is_no_event_is_passed_over(self, tmp_path: Path) -> None:
        file = tmp_path / "events.jsonl"
        file.write_bytes(b"nonsense\n[1]\n\xff\xfe\n\n" + line("fit", 1, 1).encode())
        assert [event["done"] for event in EventTail(file).read()] == [1]

    def test_a_line_without_an_end_does_not_stop_it(self, tmp_path: Path) -> None:
        file = tmp_path / "events.jsonl"
        file.write_bytes(b"x" * (1 << 20) + b"\n" + line("fit", 1, 1).encode())
        tail = EventTail(file)
        assert tail.read() == []
        assert len(tail.read()) == 1

    def test_a_folder_that_goes_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_text(line("fit", 1, 1))
        tail = EventTail(tmp_path / "events.jsonl")
        tail.read()
        (tmp_path / "events.jsonl").unlink()
        assert tail.read() == []


class TestMeter:
    def meter(self, tmp_path: Path, *lines: str, since: float = 0) -> Meter:
        (tmp_path / "events.jsonl").write_text("".join(lines))
        return Meter(tmp_path / "events.jsonl", since)

    def test_knows_nothing_before_the_first_event(self, tmp_path: Path) -> None:
        assert Meter(tmp_path / "none", 0).read(5) == Progress()

    def test_tells_the_time_that_is_left(self, tmp_path: Path) -> None:
        found = self.meter(tmp_path, line("load", 1, 99), line("fit", 2, 100), line("fit", 4, 106)).read(107)
        # two steps in 6 s; 6 steps are left, and one second has gone
        assert found == Progress("fit", 4, 10, 6 * 3 - 1, ("load", "fit"))

    def test_is_never_below_nothing(self, tmp_path: Path) -> None:
        assert self.meter(tmp_path, line("fit", 2, 100), line("fit", 4, 106)).read(1000).left_s == 0

    @pytest.mark.parametrize(
        "lines",
        [
            [line("fit", 2, 100)],
            [line("fit", 2, 100), line("fit", 2, 101)],
            [line("fit", 2, 100), line("fit", 4, 100)],
            [line("fit", 4, 100), line("load", 4, 103), line("fit", 5, 104)],
        ],
    )
    def test_is_not_told_where_it_is_not_known(self, tmp_path: Path, lines: list[str]) -> None:
        assert self.meter(tmp_path, *lines).read(110).left_s is None

    def test_a_pause_between_two_processes_does_not_count(self, tmp_path: Path) -> None:
        lines = [line("fit", 1, 10), line("fit", 2, 11), line("fit", 3, 5000), line("fit", 5, 5001)]
        assert self.meter(tmp_path, *lines, since=4990).read(5001).left_s == pytest.approx(2.5)

    def test_the_last_minute_counts(self, tmp_path: Path) -> None:
        slow = [line("fit", n, 100 * n, total=1000) for n in range(10)]
        fast = [line("fit", 10 + n, 1000 + n, total=100) for n in range(51)]
        assert self.meter(tmp_path, *slow, *fast).read(1050).left_s == pytest.approx(40)

    def test_a_step_back_begins_anew(self, tmp_path: Path) -> None:
        lines = [line("train", 8, 10), line("train", 2, 11), line("train", 4, 12)]
        assert self.meter(tmp_path, *lines).read(12).left_s == pytest.approx(3)

    def test_forgets_what_is_not_in_the_file_any_more(self, tmp_path: Path) -> None:
        meter = self.meter(tmp_path, line("fit", 1, 1), line("fit", 2, 2))
        meter.read(2)
        (tmp_path / "events.jsonl").write_text(line("load", 0, 3))
        assert meter.read(3).phases == ("load",)
        assert len(meter.events) == 1


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_lines(log) == ""
    log.write_bytes("first\nsecönd\nthird\n".encode())
    assert last_lines(log) == "first\nsecönd\nthird\n"
    assert last_lines(log, most_bytes=11) == "third\n"  # from the middle of the second line on
    log.write_bytes(b"\xff\n")
    assert last_lines(log) == "\ufffd\n"


class TestVerdict:
    @pytest.mark.parametrize(
        ("status", "asked", "log", "state", "error"),
        [
            (0, False, "run directory: x", "done", ""),
            (0, True, "", "done", ""),  # it was faster
            (130, True, "interrupted; go on with: tenfold resume x", "cancelled", ""),
            (-2, True, "KeyboardInterrupt", "cancelled", ""),
            (-15, True, "", "cancelled", ""),
            (130, False, "interrupted", "interrupted", "someone stopped it"),
            (None, False, "--- start\n", "interrupted", "the computer was stopped"),
            (None, True, "", "cancelled", ""),
            (None, False, "error: no data; give some\n", "failed", "no data; give some"),
            (2, False, "error: old\n--- b\nerror: No space left on device\n", "failed", "^No space left"),
            (2, False, "error: disk full; go on with: tenfold resume /a\n", "failed", "^disk full$"),
            (1, False, "Traceback\nRuntimeError: odd\n", "failed", "with status 1: RuntimeError: odd; its"),
            (2, False, "╭─ Error ─╮\n│ No option --x │\n╰─────╯\n", "failed", "status 2: No option --x; its"),
            (120, False, "--- start\n", "failed", "said nothing; "),
            (-9, False, "", "failed", "SIGKILL.*memory"),
            (-11, False, "", "failed", "ended by SIGSEGV"),
            (-99, False, "", "failed", "ended by signal 99"),
        ],
    )  # fmt: skip
    def test_of_status_and_log(
        self, tmp_path: Path, status: int | None, asked: bool, log: str, state: str, error: str
    ) -> None:
        found = judged(status, asked=asked, run=tmp_path, log=log, since=0)
        assert found.state == state
        assert re.search(error, found.error)
        assert bool(found.error) == bool(error)

    def test_free_space_is_named_where_nothing_was_said(self, tmp_path: Path) -> None:
        found = judged(1, asked=False, run=tmp_path / "a" / "b", log="", since=0)
        assert re.search(rf"said nothing; [\d,]+ MiB are free in {tmp_path}; its log", found.error)

    def test_a_folder_that_is_gone_is_named(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        log = f"error: {GONE.format(run=run)}\n"
        assert judged(2, asked=False, run=run, log=log, since=0).error.startswith(
            f"the run folder {run} was removed or moved while the job ran; start it again (cannot write"
        )
        run.mkdir()
        assert judged(2, asked=False, run=run, log=log, since=0).error.startswith("cannot write")

    @pytest.mark.parametrize("name", ["report.json", "report.html"])
    def test_a_process_nobody_waited_for_is_judged_by_its_run(self, tmp_path: Path, name: str) -> None:
        def state(since: float) -> str:
            return judged(None, asked=False, run=tmp_path, log="", since=since).state

        assert state(0) == "interrupted"
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000, 1000))
        assert state(990) == "done"
        assert state(1010) == "interrupted"  # of a run before
        (tmp_path / "checkpoint").mkdir()
        assert state(990) == "interrupted"  # its end has not come
