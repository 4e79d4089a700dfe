"""The demo in Chromium, whose camera shows a synthetic person: in JupyterLab and on Voilà's page.

With FER_SCREENSHOT_DIR in the environment, the two images of README are written there.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import nbformat
import numpy as np
import pytest
from lab_server import SECONDS, chromium, free_port, jupyterlab, open_notebook, run_all_cells, server

from fer_utils.files import PROJECT
from fer_utils.labels import FER7
from fer_utils.live.sources import SyntheticSource
from fer_utils.run import notebook_path

pytestmark = pytest.mark.browser

SCREENSHOTS = os.environ.get("FER_SCREENSHOT_DIR")
NOTEBOOK = notebook_path("50_live_demo")
PERSON = {"seed": 4, "seconds": 12.0, "frame_rate": 25.0}
"""A synthetic person whose expressions the shipped network distinguishes."""

RECORD_STREAMS = """() => {
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.streams = [];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (window.failing) throw new DOMException("no reason", window.failing);
  const stream = await open(wanted);
  window.streams.push(stream);
  return stream;
};
}"""
OPEN_TRACKS = "window.streams.flatMap((s) => s.getTracks()).filter((t) => t.readyState === 'live').length"

ENV = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(Path(__file__).parent)])}
SERVE = """
import sys
from pathlib import Path
from fer_utils.live.page import serve
serve(Path(sys.argv[1]), port=int(sys.argv[2]), open_browser=False, parameters=eval(sys.argv[3]))
"""


# --- servers and browser -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a notebook that displays the panel of `live_app`."""
    made = tmp_path_factory.mktemp("demo")
    cells = [nbformat.v4.new_code_cell("import live_app\n\nlive_app.panel()")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), made / "lab.ipynb")
    return made


@pytest.fixture(scope="module")
def lab(folder) -> Iterator[str]:
    """Yield the address of the notebook in JupyterLab."""
    with jupyterlab(folder, ENV) as address:
        yield address("lab.ipynb")


@pytest.fixture(scope="module")
def voila(folder) -> Iterator[str]:
    """Yield the address of the page with its token, as it is printed."""
    command = [sys.executable, "-c", SERVE, str(NOTEBOOK), str(free_port()), repr(PERSON)]
    with server(command, folder, ENV, ready=r"http://127\.0\.0\.1:\d+/\?token=\w+") as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start a browser whose camera shows four seconds of a synthetic person."""
    clip = tmp_path_factory.mktemp("camera") / "camera.mjpeg"  # the form that Chromium reads
    frames = SyntheticSource(seconds=4, frame_rate=30, seed=PERSON["seed"])
    jpegs = (cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))[1] for frame in frames)
    clip.write_bytes(b"".join(jpeg.tobytes() for jpeg in jpegs))
    options = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with chromium(*options, f"--use-file-for-fake-video-capture={clip}") as browser:
        yield browser


@pytest.fixture(scope="module")
def lab_page(browser, lab):
    """Open the notebook in JupyterLab, run it, and return the page."""
    page = open_notebook(browser, lab, accept_downloads=True)
    page.evaluate(RECORD_STREAMS)
    run_all_cells(page, until=page.locator(".fer-panel").count, retry_after=10)
    return page


@pytest.fixture(scope="module")
def voila_page(browser, voila):
    """Open the page; its `addresses` are those that it requests."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(1000 * SECONDS)
    page.addresses = []
    page.on("request", lambda request: page.addresses.append(request.url))
    page.goto(voila)
    page.locator(".fer-panel").wait_for()
    return page


def button(panel, name: str):
    return panel.get_by_role("button", name=name)


def rows(panel):
    return panel.locator(".fer-log tbody tr")


def start(panel, source: str) -> None:
    panel.get_by_label("Source").select_option(source)
    button(panel, "Start").click()


def wait_for_message(panel, text: str) -> None:
    panel.locator(".fer-messages li", has_text=text).wait_for()


def wait_for_label(panel) -> None:
    """Wait until a face in the annotated frame has a label."""
    panel.locator("canvas[aria-label*='%']").wait_for()
    label = panel.locator("canvas").get_attribute("aria-label")
    assert re.match(rf"face \d+ ({'|'.join(FER7)}) \d+ %", label)


def download(page, panel, name: str) -> Path:
    with page.expect_download() as started:
        button(panel, name).click()
    return Path(started.value.path())


def image_file(path: Path, *, side: int = 480) -> Path:
    """Write the image of a synthetic face; noise keeps a large PNG from being compressed."""
    image = next(iter(SyntheticSource(seconds=4, seed=PERSON["seed"]))).image[:, 80:-80]
    image = cv2.resize(image[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC).astype(int)
    image += np.random.default_rng(0).integers(-12, 12, image.shape)
    cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
    return path


def upload(panel, *files: Path) -> None:
    panel.get_by_label("Source").select_option("upload")
    panel.locator("input[type=file]").set_input_files(files)


def screenshot(page, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(20_000 if name == "lab" else 0)
        page.screenshot(path=Path(SCREENSHOTS) / f"live_{name}.jpg", type="jpeg", quality=85)


# --- JupyterLab ----------------------------------------------------------------------------------


def test_camera_is_classified_logged_recorded_and_released(lab_page):
    panel = lab_page.locator(".fer-panel")
    assert not button(panel, "Annotated video").is_enabled()
    panel.get_by_label("Record").check()
    start(panel, "camera")
    wait_for_label(panel)
    rows(panel).nth(2).wait_for()
    assert "frames per second" in panel.locator(".fer-rate").inner_text()
    assert panel.locator("polyline.fer-best").get_attribute("points").count(",") > 10
    assert lab_page.evaluate(OPEN_TRACKS) == 1
    button(panel, "Stop").click()
    assert lab_page.evaluate(OPEN_TRACKS) == 0
    lab_page.wait_for_timeout(500)
    video = cv2.VideoCapture(str(download(lab_page, panel, "Annotated video")))
    assert video.read()[0]
    _, *lines = download(lab_page, panel, "Events (CSV)").read_text().splitlines()
    assert len(lines) == rows(panel).count() and all(line.split(",")[2] in FER7 for line in lines)
    button(panel, "Clear").click()
    rows(panel).first.wait_for(state="detached")
    assert panel.locator("canvas").get_attribute("aria-label") == "no image yet"


def test_problems_of_the_camera_have_messages(lab_page):
    panel = lab_page.locator(".fer-panel")
    problems = {
        "NotFoundError": "No camera was found",
        "NotAllowedError": "The browser may not use the camera",
        "NotReadableError": "The camera is busy",
    }
    for name, message in problems.items():
        lab_page.evaluate("(name) => { window.failing = name; }", name)
        start(panel, "camera")
        wait_for_message(panel, message)
    lab_page.evaluate("() => { window.failing = null; }")
    lab_page.evaluate(
        "Object.defineProperty(navigator, 'mediaDevices', {value: undefined, configurable: true})"
    )
    start(panel, "camera")
    wait_for_message(panel, "ssh -L")
    lab_page.evaluate("delete navigator.mediaDevices")
    start(panel, "camera")
    wait_for_label(panel)
    lab_page.evaluate("window.streams.at(-1).getTracks()[0].dispatchEvent(new Event('ended'))")
    wait_for_message(panel, "The camera was disconnected")
    assert lab_page.evaluate(OPEN_TRACKS) == 0


def test_rerun_cell_releases_the_camera_and_a_dead_kernel_is_reported(lab_page, lab):
    panel = lab_page.locator(".fer-panel")
    start(panel, "synthetic")
    rows(panel).first.wait_for()
    screenshot(lab_page, "lab")
    start(panel, "camera")
    wait_for_label(panel)
    run_all_cells(lab_page)
    lab_page.wait_for_function(f"{OPEN_TRACKS} === 0")
    panel.locator(".fer-hint").wait_for()
    start(panel, "camera")
    wait_for_label(panel)
    token = {"Authorization": f"token {lab.split('token=')[1]}"}
    api = lab.split("/doc/")[0] + "/api/sessions"
    for session in lab_page.request.get(api, headers=token).json():
        lab_page.request.delete(f"{api}/{session['id']}", headers=token)
    wait_for_message(panel, "No answer from the kernel")


# --- Voilà ---------------------------------------------------------------------------------------


def test_page_classifies_uploads_within_its_limits(voila_page, tmp_path):
    panel = voila_page.locator(".fer-panel")
    large = image_file(tmp_path / "large.png", side=1500)
    assert 4e6 < large.stat().st_size < 8e6
    others = [tmp_path / name for name in ("notes.jpg", "huge.png", *(f"{i}.png" for i in range(22)))]
    for path in others:
        path.write_bytes(bytes(8_100_000) if path.stem == "huge" else b"no image")
    upload(panel, large, others[0], image_file(tmp_path / "face.jpg"))
    results = panel.locator(".fer-results figure")
    results.nth(2).wait_for()
    assert "face.jpg" in results.nth(0).inner_text() and "large.png" in results.nth(2).inner_text()
    assert results.nth(0).locator(".fer-bar").count() == len(FER7)
    assert results.nth(0).locator("img").evaluate("(image) => image.naturalWidth") == 480
    assert "notes.jpg" in panel.locator(".fer-refused").inner_text()
    button(panel, "Clear").click()
    upload(panel, others[1])
    panel.locator(".fer-refused", has_text="at most 8 MB").wait_for()
    button(panel, "Clear").click()
    upload(panel, *others[2:])
    wait_for_message(panel, "Only the first 20 files")
    panel.locator(".fer-refused").nth(19).wait_for()
    assert panel.locator(".fer-refused").count() == 20
    button(panel, "Clear").click()
    upload(panel, image_file(tmp_path / "face.jpg"))
    results.first.wait_for()
    screenshot(voila_page, "page")


def test_page_works_by_keyboard_on_a_telephone_and_contacts_nobody_else(voila_page):
    panel = voila_page.locator(".fer-panel")
    voila_page.set_viewport_size({"width": 400, "height": 900})
    panel.get_by_label("Source").select_option("camera")
    panel.get_by_label("Source").focus()
    voila_page.keyboard.press("Tab")
    voila_page.keyboard.press("Enter")
    wait_for_label(panel)
    rows(panel).first.wait_for()
    assert voila_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    button(panel, "Stop").focus()
    voila_page.keyboard.press("Space")
    unnamed = "(all) => all.filter((one) => !one.labels?.length && !one.textContent).length"
    assert panel.locator("button, input, select").evaluate_all(unnamed) == 0
    panel.locator("summary").click()
    text = voila_page.locator("body").inner_text()
    assert "hiring" in text and "import" not in text and "What the papers say" not in text
    hosts = {urlsplit(url).hostname for url in voila_page.addresses if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


def test_page_refuses_a_wrong_token(browser, voila):
    page = browser.new_context().new_page()
    page.goto(re.sub("token=.*", "token=wrong", voila))
    assert "login" in page.url and page.locator(".fer-panel").count() == 0
    page.context.close()
