#!/usr/bin/env python3
"""Opens reports of 3, 100 and 1000 hosts in a real browser and uses them.

usage: tests/ui.py TASKER [DIRECTORY]

Needs Chromium and Python's standard library. Leaves screenshots (light, dark, narrow
and printed) in the directory, for people to look at.
"""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

# On every page: retries, a failure, a skipped task, a loop, final tasks.
TASKS = """
# Check the disks
task=0
exec=shell
command=echo 12 GiB free; sleep 0.2

# Update the web servers
task=10
type=parallel
hostnames=web[001-{hosts:03}]
exec=shell
max_parallel=40
retry_count=1
retry_delay=0.1
command=h=@hostname@; sleep 0.0${{h#web?}}; for i in $(seq 1 30); do echo "$h: step $i <&> done"; done; [ $h != web002 ] || {{ echo "$h: </script> \\"refused\\"" >&2; exit 3; }}
success=min_success=50%

# Only on Sundays
task=20
condition=@0_stdout@~Sunday
exec=local
command=true

# Wait for the service
task=30
next=loop
loop=4
loop_break=stdout~ready
sleep=0.1
exec=shell
command=[ @loop@ = 3 ] && echo ready || echo not yet

# Ask it
task=40
exec=shell
timeout=1
command=echo "answer: none"; sleep 9

# Not reached
task=50
exec=local
command=true

# Maintenance off
task=60
finally=true
exec=shell
command=echo off; sleep 0.1
"""


class Socket:
    """A WebSocket client with what the browser's debugger needs."""

    def __init__(self, port, path):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        self.stream.sendall("\r\n".join(lines + ["", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.stream.recv(1)
        assert b" 101 " in answer.split(b"\r\n")[0], answer

    def send(self, text):
        data, mask = text.encode(), secrets.token_bytes(4)
        size = len(data)
        head = bytes([0x81, 0xFE]) + struct.pack("!H", size)
        if size >= 1 << 16:
            head = bytes([0x81, 0xFF]) + struct.pack("!Q", size)
        self.stream.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def take(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.stream.recv(size - len(data))
            assert part, "the browser is gone"
            data += part
        return bytes(data)

    def receive(self):
        message = b""
        while True:
            first, size = self.take(2)
            if size == 126:
                size, = struct.unpack("!H", self.take(2))
            elif size == 127:
                size, = struct.unpack("!Q", self.take(8))
            message += self.take(size)
            if first & 0x80:
                return message.decode()


class Browser:
    def __init__(self, directory):
        profile = os.path.join(directory, "profile")
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert program, "chromium is not installed"
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             f"--user-data-dir={profile}", "--remote-debugging-port=0",
             "--host-resolver-rules=MAP * ~NOTFOUND", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        active = os.path.join(profile, "DevToolsActivePort")
        wait_for("the browser", lambda: os.path.exists(active) and open(active).read().count("\n"))
        port = int(open(active).readline())
        pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list"))
        page = next(p for p in pages if p["type"] == "page")
        self.socket = Socket(port, page["webSocketDebuggerUrl"].split(str(port), 1)[1])
        self.number, self.events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.number:
                assert "error" not in message, (method, message)
                return message["result"]
            self.events.append(message)

    def open(self, path, fragment=""):
        # Another page in between, so that a changed fragment loads the page again.
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url="file://" + path + fragment)
        wait_for("the page", lambda: self.value("document.readyState") == "complete"
                 and self.value("performance.timing.loadEventEnd") > 0)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def look(self, width, scheme="light", media=""):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        """A screenshot of the whole page, up to 3000 pixels: the rest is not drawn."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        height = int(min(size["height"], 3000))
        self.call("Emulation.setDeviceMetricsOverride", width=int(size["width"]), height=height,
                  deviceScaleFactor=1, mobile=False)
        shot = self.call("Page.captureScreenshot")
        keep(path, shot["data"])

    def complaints(self):
        """Console messages, and requests to any network."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        found = [e["params"] for e in self.events if e["method"] in kinds]
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return found + [url for url in asked if not url.startswith(("file://", "about:", "data:,"))] \
            + [url for url in asked if url.startswith("file://") and not url.split("#")[0].endswith(".html")]

    def end(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def wait_for(what, holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.01)


def keep(path, data):
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))


def run(tasker, directory, hosts):
    """The page of a run on this many hosts."""
    name = f"report-{hosts}"
    with open(os.path.join(directory, name + ".txt"), "w") as file:
        file.write(TASKS.format(hosts=hosts))
    page = os.path.join(directory, name + ".html")
    ran = subprocess.run([tasker, "-r", "-q", "-l", os.path.join(directory, "logs"), "--report", page, name + ".txt"],
                         cwd=directory, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 124, ran
    size = os.path.getsize(page)
    assert size < 5_000_000, size
    return page


VISIBLE = "[...document.querySelectorAll('tbody tr')].filter(r => r.checkVisibility()).length"

# Pairs of axis labels that overlap.
MEETING = """(() => {
  const boxes = [...document.querySelectorAll('.axis text')].map(t => t.getBoundingClientRect()).filter(b => b.width);
  return boxes.filter((b, i) => i && b.left < boxes[i - 1].right + 2).length + (boxes.length < 2 ? 100 : 0);
})()"""


def check_load(browser, page, hosts):
    browser.look(1280)
    times = []
    for _ in range(3):
        browser.open(page)
        times.append(browser.value("performance.timing.loadEventEnd - performance.timing.navigationStart"))
    assert min(times) < 1000, f"{hosts} hosts: {times} ms"
    rows = browser.value(VISIBLE)
    assert rows == 7 + hosts, rows
    assert browser.value("document.title") == f"failed: report-{hosts}.txt"
    return min(times)


def check_widths(browser, page):
    for width in (400, 500, 800, 1280, 2000):
        for scheme in ("light", "dark"):
            browser.look(width, scheme)
            browser.open(page)
            wide = browser.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{page}: {wide} wide in a window of {width}"
            meeting = browser.value(MEETING)
            assert meeting == 0, f"{page}: axis labels overlap at {width}: {meeting}"
            back = browser.value("getComputedStyle(document.documentElement).backgroundColor")
            light = all(int(part) > 200 for part in re.findall(r"\d+", back)[:3])
            assert light == (scheme == "light"), (scheme, back)
            if width in (500, 1280):
                browser.picture(page.replace(".html", f"-{scheme}-{width}.png"))


def check_search(browser, page, hosts):
    browser.look(1280)
    browser.open(page)
    browser.value("document.getElementById('q').focus()")
    browser.call("Input.insertText", text="WEB003")
    # Only the row of the host.
    assert browser.value(VISIBLE) == 1, browser.value(VISIBLE)
    assert browser.value("document.getElementById('n').textContent") == f"1 of {7 + hosts}"
    browser.open(page, "#o=failed")
    assert browser.value(VISIBLE) == 1, browser.value(VISIBLE)
    browser.open(page, "#q=stderr")
    assert browser.value("[...document.querySelectorAll('tbody tr')].filter(r => r.checkVisibility())[0].id") == "t10-web002"
    browser.value("location.hash = '#q='")
    wait_for("all rows", lambda: browser.value(VISIBLE) == 7 + hosts)
    # A name in the timeline leads to its row, even if the row was hidden.
    browser.value("location.hash = '#q=nothing-like-it'")
    wait_for("no row", lambda: browser.value(VISIBLE) == 0)
    browser.value("document.querySelector('.chart a[href$=web003]').click()")
    wait_for("the row", lambda: browser.value("document.getElementById('t10-web003').checkVisibility()"))
    browser.value("document.querySelector('header p a[href^=\"#L\"]').click()")
    wait_for("the task file", lambda: browser.value("document.querySelector('#file details').open"))


def check_hostile(browser, page):
    browser.open(page)
    assert browser.value("document.scripts.length") == 1
    # The page's policy forbids this script, as it would any script from elsewhere.
    browser.value("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.forged = 1'}))")
    assert browser.value("window.forged") is None
    assert any("Content Security Policy" in str(e) or "violates" in str(e) for e in browser.complaints())


def check_without_script(browser, page, hosts):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    assert browser.value(VISIBLE) == 7 + hosts
    assert not browser.value("document.getElementById('search').checkVisibility()")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)


def check_print(browser, page):
    browser.look(1280, "dark", "print")
    browser.open(page)
    assert not browser.value("document.getElementById('search').checkVisibility()")
    back = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    assert back == "rgb(255, 255, 255)", back
    pdf = browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.7)["data"]
    keep(page.replace(".html", ".pdf"), pdf)
    browser.look(1280)


def main():
    tasker = os.path.abspath(sys.argv[1])
    directory = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="tasker-ui-")
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            for hosts in (3, 100, 1000):
                page = run(tasker, directory, hosts)
                ms = check_load(browser, page, hosts)
                check_search(browser, page, hosts)
                check_widths(browser, page)
                check_print(browser, page)
                assert not browser.complaints(), browser.complaints()
                check_without_script(browser, page, hosts)
                check_hostile(browser, page)
                print(f"ok: {hosts} hosts, {os.path.getsize(page) >> 10} KiB, loaded in {ms} ms")
        finally:
            browser.end()
    print(f"look at the pictures in {directory}")


main()
