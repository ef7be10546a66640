"""Chromium without a window, driven by its DevTools protocol, and a server that can be stopped."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

SECONDS = 60.0


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=SECONDS))
            if message.get("id") != number:
                self.events.append(message)
                continue
            if "error" in message:
                raise AssertionError(f"{method}: {message['error']['message']}")
            return dict(message["result"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def open(self, address: str) -> None:
        """Go to `address`; ends when the page is loaded or has failed to."""
        self.send("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def wait_for(self, condition: str) -> None:
        """Wait until the JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                if self.run(condition):
                    return
            except AssertionError as error:  # between two pages there is nothing to ask
                if "context" not in str(error) and "navigated" not in str(error):
                    raise
            time.sleep(0.05)
        raise AssertionError(f"not within {SECONDS:g} s: {condition}; {self.run('document.body.innerText')}")

    def choose(self, file: Path) -> None:
        """Give `file` to the page as a person does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def errors(self) -> list[str]:
        """What the browser logged as an error until now."""
        self.run("0")
        found = []
        for event in self.events:
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
        return found

    def addresses(self) -> list[str]:
        """Every address that was asked for until now."""
        return [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium(profile: Path, flags: Sequence[str] = ()) -> Iterator[Page]:
    """A page of a browser that keeps what it stores in `profile`."""
    program = shutil.which("chromium")
    assert program is not None, "no chromium: install the packages of system-packages.txt"
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    command = [
        *(
            program,
            "--headless=new",
            "--no-sandbox",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
        ),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update", *flags),
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port, path = _port(port_file, process)
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as browser:
            tab = f"ws://127.0.0.1:{port}/devtools/page/{_first_tab(browser)}"
            with connect(tab, max_size=None) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def _port(file: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Port and path of the browser's own socket."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) == 2:
            return lines[0], lines[1]
        time.sleep(0.05)
    raise AssertionError("chromium opened no port")


def _first_tab(browser: ClientConnection) -> str:
    """The tab that is open."""
    browser.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
    targets = json.loads(browser.recv(timeout=SECONDS))["result"]["targetInfos"]
    return next(str(target["targetId"]) for target in targets if target["type"] == "page")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[tuple[str, int]]:
    """The address of `folder` on the loopback, and the port; stopped at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
