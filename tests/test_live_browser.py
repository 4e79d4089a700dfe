"""The demo as a person uses it: Chromium, whose camera shows drawn people, in JupyterLab and on Voilà's page.

With FER_SCREENSHOT_DIR in the environment, README's two pictures are written there.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import nbformat
import numpy as np
import pytest

from fer_utils.files import project_path
from fer_utils.labels import FER7
from fer_utils.live.sources import synthetic
from fer_utils.params import notebook_path

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 120
"""How long one thing may take on a machine that is busy with other things."""

KEEP_PICTURES = "FER_SCREENSHOT_DIR"

FAKE_CAMERA = "--use-fake-device-for-media-stream"
GRANTED, DENIED = "--use-fake-ui-for-media-stream", "--deny-permission-prompts"

WATCH_THE_CAMERA = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.streams = [];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (window.failing) throw new DOMException("no reason", window.failing);
  const stream = await open(wanted);
  window.streams.push(stream);
  return stream;
};
"""
OPEN_TRACKS = "window.streams.flatMap((s) => s.getTracks()).filter((t) => t.readyState === 'live').length"

NOTEBOOK = notebook_path("50_live_demo")
PERSON = {"seed": 4, "seconds": 12.0, "frame_rate": 25.0}
"""A drawn person whose expressions the shipped network tells apart."""

SERVE = """
import sys
from pathlib import Path
from fer_utils.live.page import serve
serve(Path(sys.argv[1]), port=int(sys.argv[2]), open_browser=False, parameters=eval(sys.argv[3]))
"""


# --- servers and browsers -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a notebook of a panel on known answers, and the demo without its measurements."""
    made = tmp_path_factory.mktemp("demo")
    demo = nbformat.read(NOTEBOOK, as_version=4)
    demo.cells = [cell for cell in demo.cells if "page" in cell.metadata.get("tags", [])]
    demo.cells[0].source += "".join(f"\n{name} = {value!r}" for name, value in PERSON.items())
    demo.cells[0].metadata["jupyter"] = {"source_hidden": True}
    nbformat.write(demo, made / "demo.ipynb")
    demo.cells = [nbformat.v4.new_code_cell("import live_app\n\nlive_app.panel()")]
    nbformat.write(demo, made / "lab.ipynb")
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Return four seconds of a drawn person as the only form of video that Chromium takes for a camera."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    frames = synthetic(seconds=4, frame_rate=30, n_micro=0, n_macro=1, seed=PERSON["seed"])
    jpegs = (cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))[1] for frame in frames)
    path.write_bytes(b"".join(jpeg.tobytes() for jpeg in jpegs))
    return path


@contextmanager
def server(command: list[str], folder: Path, *, ready: str) -> Iterator[str]:
    """Run a server until its log matches `ready`, and yield what matched."""
    log = folder / f"{secrets.token_hex(4)}.log"
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    own["PYTHONPATH"] = os.pathsep.join([str(project_path("")), str(Path(__file__).parent)])
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | own, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + SECONDS
        while (found := re.search(ready, log.read_text())) is None:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield found.group()
    finally:
        process.terminate()  # the server ends its kernels
        process.wait(30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def lab(folder) -> Iterator[str]:
    """Yield the address of a notebook in JupyterLab; another one's differs in its name."""
    port, token = free_port(), secrets.token_hex(16)
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser"]
    options += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    options += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    overrides = folder / "jupyter_config_dir" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')
    options += ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", *options]
    with server(command, folder, ready=r"http://127\.0\.0\.1:\d+/lab"):
        yield f"http://127.0.0.1:{port}/doc/workspaces/lab/tree/lab.ipynb?token={token}"


@pytest.fixture(scope="module")
def voila(folder) -> Iterator[str]:
    """Yield the address of the page with its token, as it is printed."""
    command = [sys.executable, "-c", SERVE, str(NOTEBOOK), str(free_port()), repr(PERSON)]
    with server(command, folder, ready=r"http://127\.0\.0\.1:\d+/\?token=\w+") as address:
        yield address


@pytest.fixture(scope="module")
def playwright():
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def launch(playwright, clip) -> Iterator[Callable]:
    """Yield what starts a browser whose camera shows the clip, permitted or denied."""
    started = []

    def launched(permission: str):
        options = ["--no-sandbox", FAKE_CAMERA, f"--use-file-for-fake-video-capture={clip}", permission]
        started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=options))
        return started[-1]

    yield launched
    for browser in started:
        browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch(GRANTED)


def open_lab(browser, address: str):
    """Open the notebook, run all of it and return the page with its panel."""
    from playwright.sync_api import TimeoutError

    page = browser.new_page(viewport={"width": 1280, "height": 1060}, accept_downloads=True)
    page.set_default_timeout(1000 * SECONDS)
    page.add_init_script(WATCH_THE_CAMERA)
    page.goto(address)
    status, panel = page.locator(".jp-StatusBar-TextItem"), page.locator(".fer-panel")
    status.filter(has_text="| Idle").wait_for()
    for _ in range(SECONDS // 3):  # JupyterLab says "Idle" before it is ready, too
        run_all_cells(page)
        with suppress(TimeoutError):
            panel.or_(status.filter(has_text="| Busy")).first.wait_for(timeout=3000)
            break
        page.keyboard.press("Escape")  # a question whether to wait for the kernel
    panel.wait_for()
    return page


def run_all_cells(page) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()


@pytest.fixture(scope="module")
def opened(browser, lab):
    return open_lab(browser, lab)


@pytest.fixture
def panel(opened):
    """Return the panel in JupyterLab, stopped and cleared."""
    found = opened.locator(".fer-panel")
    found.get_by_label("Source").select_option("upload")  # stops what runs
    found.get_by_label("Source").select_option("camera")
    found.get_by_label("Record").set_checked(False)
    button(found, "Clear").click()
    rows(found).first.wait_for(state="detached")
    return found


# --- what a person does and sees ------------------------------------------------------------------


def button(panel, name: str):
    return panel.get_by_role("button", name=name)


def rows(panel):
    return panel.locator(".fer-log tbody tr")


def start(panel, source: str) -> None:
    panel.get_by_label("Source").select_option(source)
    button(panel, "Start").click()


def wait_until_it_can_start(panel) -> None:
    """Wait until Start can be pressed; after a stop the kernel says so, which takes a moment."""
    from playwright.sync_api import expect

    expect(button(panel, "Start")).to_be_enabled()


def wait_for_message(panel, text: str) -> None:
    panel.locator(".fer-messages li", has_text=text).wait_for()


def wait_for_label(panel) -> None:
    """Wait until the picture says of a face what it shows."""
    panel.locator("canvas[aria-label*='%']").wait_for()
    assert re.match(
        rf"face \d+ ({'|'.join(FER7)}) \d+ %", panel.locator("canvas").get_attribute("aria-label")
    )


def picture_changes(panel) -> bool:
    """Return whether the canvas shows something else after a second."""
    read = "(canvas) => canvas.toDataURL('image/png')"
    before = panel.locator("canvas").evaluate(read)
    panel.page.wait_for_timeout(1000)
    return panel.locator("canvas").evaluate(read) != before


def picture_file(path: Path, *, side: int = 480) -> Path:
    """Write a drawn face to be uploaded; noise keeps a large PNG from being compressed."""
    image = next(iter(synthetic(seconds=4, size=(480, 480), seed=PERSON["seed"]))).image
    image = cv2.resize(image[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC).astype(int)
    image += np.random.default_rng(0).integers(-12, 12, image.shape)
    cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
    return path


def file_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def upload(panel, *files: Path) -> None:
    panel.get_by_label("Source").select_option("upload")
    panel.locator("input[type=file]").set_input_files(files)


def screenshot(page, name: str, tmp_path: Path) -> Path:
    folder = Path(os.environ.get(KEEP_PICTURES, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"live_{name}.jpg", type="jpeg", quality=85)
    return folder / f"live_{name}.jpg"


# --- JupyterLab -----------------------------------------------------------------------------------


def test_the_browser_camera_gets_labels_and_the_log_grows(panel):
    start(panel, "camera")
    wait_for_label(panel)
    rows(panel).nth(1).wait_for()
    assert picture_changes(panel)
    assert "frames per second" in panel.locator(".fer-rate").inner_text()
    before = rows(panel).count()
    rows(panel).nth(before).wait_for()
    assert panel.locator("polyline.fer-best").get_attribute("points").count(",") > 10


def test_stop_lets_the_camera_go_and_clear_forgets(panel, opened):
    start(panel, "camera")
    rows(panel).first.wait_for()
    assert opened.evaluate(OPEN_TRACKS) == 1
    button(panel, "Stop").click()
    assert opened.evaluate(OPEN_TRACKS) == 0
    opened.wait_for_timeout(500)
    assert not picture_changes(panel)
    assert rows(panel).count() >= 1
    button(panel, "Clear").click()
    rows(panel).first.wait_for(state="detached")
    assert panel.locator("canvas").get_attribute("aria-label") == "no picture yet"


def test_a_camera_that_is_lost_midway_is_told(panel, opened):
    start(panel, "camera")
    wait_for_label(panel)
    opened.evaluate("window.streams.at(-1).getTracks()[0].dispatchEvent(new Event('ended'))")
    wait_for_message(panel, "The camera was disconnected")
    wait_until_it_can_start(panel)
    assert opened.evaluate(OPEN_TRACKS) == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "The camera is busy"),
        ("AbortError", "The camera did not start: no reason"),
    ],
)
def test_a_camera_that_does_not_start_has_a_message(panel, opened, name, says):
    opened.evaluate("(name) => { window.failing = name; }", name)
    try:
        start(panel, "camera")
        wait_for_message(panel, says)
        wait_until_it_can_start(panel)
    finally:
        opened.evaluate("() => { window.failing = null; }")


def test_a_page_that_gets_no_camera_from_the_browser_says_how_to_open_it(panel, opened):
    opened.evaluate(
        "Object.defineProperty(navigator, 'mediaDevices', {value: undefined, configurable: true})"
    )
    try:
        start(panel, "camera")
        wait_for_message(panel, "ssh -L")
    finally:
        opened.evaluate("delete navigator.mediaDevices")


def test_a_source_of_the_kernel_plays_records_and_stops(panel, opened):
    assert not button(panel, "Annotated video").is_enabled()
    panel.get_by_label("Record").check()
    start(panel, "synthetic")
    rows(panel).first.wait_for()
    assert picture_changes(panel)
    button(panel, "Stop").click()
    opened.wait_for_timeout(500)
    assert not picture_changes(panel)
    with opened.expect_download() as download:
        button(panel, "Annotated video").click()
    video = cv2.VideoCapture(str(download.value.path()))
    assert video.read()[0]
    assert download.value.suggested_filename.endswith(".webm")


def test_the_events_can_be_downloaded(panel, opened):
    start(panel, "synthetic")
    rows(panel).nth(1).wait_for()
    button(panel, "Stop").click()
    opened.wait_for_timeout(500)
    shown = rows(panel).count()
    with opened.expect_download() as download:
        button(panel, "Events (CSV)").click()
    _, *lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == shown
    assert all(any(name in line for name in FER7) for line in lines)


def test_a_picture_is_answered_and_what_is_no_picture_is_refused(panel, tmp_path):
    upload(panel, picture_file(tmp_path / "face.jpg"), file_of(tmp_path / "notes.jpg", b"no picture"))
    refused = panel.locator(".fer-refused")
    refused.wait_for()
    assert "notes.jpg" in refused.inner_text() and "not a usable picture" in refused.inner_text()
    answer = panel.locator(".fer-results figure:not(.fer-refused)")
    assert "face.jpg" in answer.inner_text()
    assert answer.locator(".fer-bar").count() == len(FER7)
    assert answer.locator("img").evaluate("(image) => image.naturalWidth") == 480


def test_running_the_cell_again_lets_the_camera_go(panel, opened):
    start(panel, "camera")
    wait_for_label(panel)
    assert opened.evaluate(OPEN_TRACKS) == 1
    run_all_cells(opened)
    opened.wait_for_function(f"{OPEN_TRACKS} === 0")
    panel.locator(".fer-hint").wait_for()


def test_a_denied_camera_has_its_message(launch, lab):
    page = open_lab(launch(DENIED), lab)
    panel = page.locator(".fer-panel")
    start(panel, "camera")
    wait_for_message(panel, "The browser may not use the camera")
    wait_until_it_can_start(panel)
    page.close()


def test_the_shipped_network_names_what_drawn_people_show(browser, lab, tmp_path):
    page = open_lab(browser, lab.replace("/lab/tree/lab.", "/demo/tree/demo."))
    panel = page.locator(".fer-panel")
    start(panel, "synthetic")
    rows(panel).nth(1).wait_for()
    page.wait_for_timeout(20_000 if KEEP_PICTURES in os.environ else 0)
    assert screenshot(page, "lab", tmp_path).stat().st_size < 200_000
    page.close()


def test_a_kernel_that_is_gone_is_told(panel, opened, lab):
    start(panel, "camera")
    wait_for_label(panel)
    token = {"Authorization": f"token {lab.split('token=')[1]}"}
    api = lab.split("/doc/")[0] + "/api/sessions"
    for session in opened.request.get(api, headers=token).json():
        opened.request.delete(f"{api}/{session['id']}", headers=token)
    wait_for_message(panel, "No answer from the kernel")


# --- Voilà ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def visited(browser, voila):
    """Return the page, and the addresses that it asked for."""
    page = browser.new_page(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    page.set_default_timeout(1000 * SECONDS)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(voila)
    page.locator(".fer-panel").wait_for()
    return page, asked


def test_the_page_has_the_panel_and_neither_code_nor_the_story(visited):
    page, _ = visited
    page.locator(".fer-panel summary").click()
    text = page.locator("body").inner_text()
    page.locator(".fer-panel summary").click()
    assert "hiring" in text and "FER-2013" in text  # the card
    assert "import" not in text and "What the papers say" not in text


def test_the_page_answers_uploads_also_large_ones(visited, tmp_path):
    page, _ = visited
    panel = page.locator(".fer-panel")
    large = picture_file(tmp_path / "large.png", side=2400)
    assert 11e6 < large.stat().st_size < 20e6  # more than Jupyter's server takes in one message
    upload(panel, large, picture_file(tmp_path / "face.jpg"))
    answers = panel.locator(".fer-results figure")
    answers.nth(1).wait_for()
    assert "face.jpg" in answers.nth(0).inner_text() and "large.png" in answers.nth(1).inner_text()
    assert panel.locator(".fer-refused").count() == 0
    assert answers.nth(1).locator("img").evaluate("(image) => image.naturalWidth") > 1000
    button(panel, "Clear").click()
    upload(panel, picture_file(tmp_path / "face.jpg"))
    answers.first.wait_for()
    assert screenshot(page, "page", tmp_path).stat().st_size < 200_000


def test_files_beyond_the_limits_are_refused(visited, tmp_path):
    page, _ = visited
    panel = page.locator(".fer-panel")
    upload(panel, file_of(tmp_path / "huge.png", bytes(21_000_000)))
    panel.locator(".fer-refused", has_text="at most 20 MB").wait_for()
    button(panel, "Clear").click()
    upload(panel, *(file_of(tmp_path / f"{i}.png", b"x") for i in range(22)))
    wait_for_message(panel, "Only the first 20 files")
    panel.locator(".fer-refused").nth(19).wait_for()
    assert panel.locator(".fer-refused").count() == 20


def test_the_page_has_the_camera_too_and_fits_a_telephone(visited):
    page, _ = visited
    panel = page.locator(".fer-panel")
    page.set_viewport_size({"width": 400, "height": 900})
    start(panel, "camera")
    wait_for_label(panel)
    rows(panel).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    button(panel, "Stop").click()


def test_the_page_works_by_keyboard_and_has_a_name_for_everything(visited):
    page, _ = visited
    panel = page.locator(".fer-panel")
    panel.get_by_label("Source").select_option("synthetic")
    button(panel, "Clear").click()
    panel.get_by_label("Source").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_label(panel)
    button(panel, "Stop").focus()
    page.keyboard.press("Space")
    wait_until_it_can_start(panel)
    unnamed = "(all) => all.filter((one) => !one.labels?.length && !one.textContent).length"
    assert panel.locator("button, input, select").evaluate_all(unnamed) == 0


def test_nothing_is_asked_of_another_machine(visited):
    _, asked = visited
    hosts = {urlsplit(address).hostname for address in asked if not address.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


def test_a_wrong_token_is_refused(browser, voila):
    page = browser.new_context().new_page()
    page.goto(re.sub("token=.*", "token=wrong", voila))
    assert "login" in page.url
    assert page.locator(".fer-panel").count() == 0
    page.context.close()
