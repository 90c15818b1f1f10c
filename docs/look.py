"""The pages of the site in Chromium, as a desktop and as a telephone have them: ``python docs/look.py [--shots DIR]``.

Ends with status 1 where a page has an error or a warning in its console, is wider than its window, asks another host for
something, or names a file that is not there. ``--shots`` keeps a picture of each. Chromium is Debian's; it is spoken to by its own
protocol, through a pipe.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SITE = Path(__file__).resolve().parents[1] / "build" / "site"
WIDTHS = {"desktop": 1280, "telephone": 390}
_HEIGHT = 900
_MOST_HEIGHT = 6000  # of a picture
_WIDER = """
new Promise(done => requestAnimationFrame(() => setTimeout(done, 80))).then(() => {
  const room = document.documentElement.clientWidth, over = document.documentElement.scrollWidth - room;
  const inside = e => { for (; e; e = e.parentElement) if (getComputedStyle(e).overflowX !== 'visible') return true; };
  const wide = over <= 0 ? [] : [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > room + 1 && !inside(e)).map(e => e.tagName + '.' + e.className);
  const broken = [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src);
  return JSON.stringify({over, wide: wide.slice(0, 3), broken, height: document.documentElement.scrollHeight});
})
"""


class Browser:
    """A headless Chromium with one page. Not for several threads."""

    def __init__(self, profile: str) -> None:
        to_read, self._out = os.pipe()
        self._in, to_write = os.pipe()
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
        ]
        command.append(f"--user-data-dir={profile}")
        shell = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._number, self._rest, self.events = 0, b"", list[dict[str, Any]]()
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 16)
            if not more:
                raise ConnectionError("Chromium has ended")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        """What it answers; what it tells meanwhile is kept in ``events``."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        text = json.dumps({"id": self._number, "method": method, "params": given, **session}).encode() + b"\0"
        while text:
            text = text[os.write(self._out, text) :]
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_for(self, event: str) -> None:
        while not any(one["method"] == event for one in self.events):
            self.events.append(self._message())

    def close(self) -> None:
        with contextlib.suppress(OSError, ConnectionError):
            self.ask("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def complaints(browser: Browser, address: str, page: str, width: int, shot: Path | None) -> list[str]:
    """What is wrong with a page in a window of such a width."""
    browser.events.clear()
    browser.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=_HEIGHT, deviceScaleFactor=1, mobile=width < 600
    )
    browser.ask("Page.navigate", url=address + page)
    browser.wait_for("Page.loadEventFired")
    answer = browser.ask("Runtime.evaluate", expression=_WIDER, awaitPromise=True, returnByValue=True)
    seen = json.loads(answer["result"]["value"])
    found = [f"{seen['over']} pixels wider than its window: {', '.join(seen['wide'])}"] if seen["over"] > 0 else []
    found += [f"a picture that is not there: {source}" for source in seen["broken"]]
    for event in browser.events:
        given = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            found.append(f"exception: {given['exceptionDetails']['text']}")
        elif event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            found.append(f"console: {[part.get('value', part.get('description')) for part in given['args']]}")
        elif event["method"] == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            found.append(f"log: {given['entry']['text']} {given['entry'].get('url', '')}")
        elif event["method"] == "Network.requestWillBeSent":
            url = given["request"]["url"]
            if not url.startswith((address, "data:", "blob:")):
                found.append(f"it asks for {url}")
    if shot is not None:
        clip = {"x": 0, "y": 0, "width": width, "height": min(seen["height"], _MOST_HEIGHT), "scale": 1}
        picture = browser.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        shot.write_bytes(base64.b64decode(picture["data"]))
    return found


def look(site: Path, shots: Path | None = None) -> list[str]:
    """What is wrong with all pages, at all widths."""
    found = []
    with tempfile.TemporaryDirectory() as profile, served(site) as address:
        browser = Browser(profile)
        try:
            for name, width in WIDTHS.items():
                for path in sorted(site.rglob("*.html")):
                    page = str(path.relative_to(site))
                    shot = shots / f"{page.removesuffix('.html')}-{name}.png" if shots else None
                    wrong = complaints(browser, address, page, width, shot)
                    found += [f"{page} at {width}: {one}" for one in wrong if page != "404.html" or "404" not in one]
        finally:
            browser.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=Path, metavar="DIR", help="keep a picture of each page")
    options = parser.parse_args()
    if shutil.which("chromium") is None:
        print("apt-get install chromium")
        return 2
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    found = look(SITE, options.shots)
    count = len(list(SITE.rglob("*.html")))
    print("\n".join(found) or f"{count} pages at {' and '.join(map(str, WIDTHS.values()))} pixels: nothing is wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
