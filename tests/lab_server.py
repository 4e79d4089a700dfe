"""JupyterLab and Chromium for browser tests."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 200
"""Limit for one step on a busy machine."""


@contextmanager
def chromium(*options: str) -> Iterator:
    """Start a browser; skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *options])
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def server(command: list[str], folder: Path, env: Mapping[str, str], *, ready: str) -> Iterator[str]:
    """Run a server in a folder until its log matches `ready`, and yield the match."""
    own = folder / f".server-{secrets.token_hex(4)}"
    own.mkdir()
    names = ("CONFIG_DIR", "RUNTIME_DIR")
    env = dict(env) | {f"JUPYTER_{name}": str(own / name) for name in names}
    env |= {f"JUPYTERLAB_{name}_DIR": str(own / name) for name in ("SETTINGS", "WORKSPACES")}
    overrides = own / "CONFIG_DIR" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')
    log = own / "log"
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + SECONDS
        while (found := re.search(ready, log.read_text())) is None:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield found.group()
    finally:
        process.terminate()  # the server ends its kernels
        process.wait(30)


@contextmanager
def jupyterlab(folder: Path, env: Mapping[str, str]) -> Iterator[Callable[[str], str]]:
    """Run JupyterLab in a folder, and yield a function that returns the address of a notebook."""
    port, token = free_port(), secrets.token_hex(16)
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser"]
    options += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    options += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", *options]
    with server(command, folder, env, ready=r"http://127\.0\.0\.1:\d+/lab"):
        # With a workspace for each notebook, JupyterLab does not open the earlier ones, too.
        address = f"http://127.0.0.1:{port}/doc/workspaces/{{}}/tree/{{}}?token={token}"
        yield lambda notebook: address.format(Path(notebook).stem, notebook)


def open_notebook(browser, address: str, **options: object):
    """Open a notebook in a new page of JupyterLab, and return the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 1060}, **options)
    page.set_default_timeout(1000 * SECONDS)
    page.goto(address)
    page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for()
    return page


def run_all_cells(page, *, until=None, retry_after: float = 40) -> None:
    """Choose Run > Run All Cells, again if JupyterLab was not ready for it, until `until()` is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
        again = time.monotonic() + retry_after
        while until is not None and time.monotonic() < again:
            if until():
                return
            page.wait_for_timeout(500)
        if until is None:
            return
        page.keyboard.press("Escape")  # a dialog about waiting for the kernel
    pytest.fail("JupyterLab did not run the cells")
