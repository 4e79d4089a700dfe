// What people see of the live demo. Python (panel.py) classifies the images; here they are taken, sent and shown.

const MOST_IN_FLIGHT = 2; // camera frames without an answer; further ones are dropped, never queued
const PATIENCE = 5; // seconds without an answer after which the person is told
const GIVE_UP = 30; // seconds without an answer after which the camera is let go
const MOST_RESULTS = 20; // uploaded images whose results stay on the page
const WINDOW = 30; // seconds of the timeline
const DASHES = ["none", "7 3", "2 2"]; // for those to whom the colours look alike
const COLUMNS = ["time", "face", "label", "percent", "kind", "lasted"];

const percent = (value) => `${Math.round(100 * value)} %`;

/** Make an element; strings among the children become text, never markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** What a person can do about a camera that does not start. */
function cameraProblem(error) {
  const port = location.port || "8888";
  const remedies = {
    NoCameraHere:
      "The browser lends cameras only to pages of this machine or over https. If Jupyter runs on another machine, " +
      `open it through a tunnel: ssh -L ${port}:localhost:${port} HOST, then http://localhost:${port}.`,
    NotFoundError: "No camera was found. Plug one in, or choose another source.",
    NotAllowedError:
      "The browser may not use the camera. Allow it beside the address bar, and in the system's settings, " +
      "then press Start.",
    NotReadableError: "The camera is busy: close the other program or tab that uses it, then press Start.",
  };
  return remedies[error.name] ?? `The camera did not start: ${error.message || error.name}.`;
}

/** The browser's camera, whose frames go to Python as JPEG files. */
class Camera {
  constructor({ side, send, report, ended }) {
    Object.assign(this, { side, send, report, ended, stream: null, run: null, inFlight: 0 });
  }

  get on() {
    return this.run !== null;
  }

  async start(run) {
    this.run = run;
    this.inFlight = 0;
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw { name: "NoCameraHere" };
      const [width, height] = this.side;
      const wanted = { width: { ideal: width }, height: { ideal: height } };
      const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
      if (this.run !== run) return stream.getTracks().forEach((track) => track.stop()); // stopped meanwhile
      this.stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => this.lost(run));
      const video = element("video", { muted: true, playsinline: true });
      video.srcObject = stream;
      await video.play();
      this.send({ kind: "start", source: "camera", run });
      await this.film(video, run);
    } catch (error) {
      if (this.run !== run) return;
      this.stop();
      this.ended();
      this.report(cameraProblem(error));
    }
  }

  async film(video, run) {
    const canvas = element("canvas");
    const began = performance.now();
    while (this.run === run) {
      await new Promise((resolve) => video.requestVideoFrameCallback?.(resolve) ?? setTimeout(resolve, 33));
      if (this.run !== run || document.hidden || this.inFlight >= MOST_IN_FLIGHT) continue;
      const time = (performance.now() - began) / 1000;
      const scale = Math.min(1, this.side[0] / video.videoWidth, this.side[1] / video.videoHeight);
      canvas.width = Math.round(scale * video.videoWidth);
      canvas.height = Math.round(scale * video.videoHeight);
      canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
      this.inFlight += 1;
      const jpeg = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
      if (this.run === run) this.send({ kind: "frame", run, time }, [await jpeg.arrayBuffer()]);
    }
  }

  lost(run) {
    if (this.run !== run) return;
    this.stop();
    this.ended();
    this.report("The camera was disconnected. Plug it in again, then press Start.");
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.run = null;
    this.inFlight = 0;
  }
}

/** The probability of each class, now as bars and over the last half minute as lines. */
class Timeline {
  constructor(names, colors) {
    this.points = [];
    this.title = element("h4", {}, "Probabilities");
    this.lines = names.map((_, i) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("stroke", colors[i % colors.length]);
      line.setAttribute("stroke-dasharray", DASHES[Math.floor(i / 3) % DASHES.length]);
      return line;
    });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WINDOW} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Probability of each class over the last 30 seconds");
    svg.append(...this.lines);
    this.bars = names.map((name, i) => bar(name, 0, colors[i % colors.length]));
    const ends = (name, ...texts) =>
      element("div", { class: name, "aria-hidden": "true" }, ...texts.map((text) => element("span", {}, text)));
    this.node = element(
      "section",
      { class: "fer-probabilities" },
      this.title,
      element("div", { class: "fer-bars" }, ...this.bars),
      element("div", { class: "fer-plot" }, ends("fer-scale", "100 %", "0 %"), svg),
      ends("fer-axis", `${WINDOW} s ago`, "now"),
    );
  }

  reset() {
    this.points = [];
  }

  /** Take the largest face's points, each [seconds, number of the face, probabilities]. */
  add(points) {
    this.points.push(...points);
    const now = this.points.at(-1)?.[0] ?? 0;
    const first = this.points.findIndex(([time]) => time >= now - WINDOW);
    this.points.splice(0, Math.max(first, 0));
    this.wanted ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.wanted = undefined;
    const [now, face, latest] = this.points.at(-1) ?? [0, null, this.lines.map(() => 0)];
    const shown = this.points.filter(([, number]) => number === face);
    const best = latest.indexOf(Math.max(...latest));
    setText(this.title, face === null ? "Probabilities" : `Probabilities of face ${face}`);
    this.lines.forEach((line, i) => {
      const corner = ([time, , values]) => `${(WINDOW - now + time).toFixed(2)},${(1 - values[i]).toFixed(3)}`;
      line.setAttribute("points", shown.map(corner).join(" "));
      line.classList.toggle("fer-best", face !== null && i === best);
      updateBar(this.bars[i], latest[i], face !== null && i === best);
    });
  }
}

function bar(name, value, color, best = false) {
  const fill = element("span", { class: "fer-fill" });
  fill.style.background = color;
  const track = element("span", { class: "fer-track", "aria-hidden": "true" }, fill);
  const number = element("span", { class: "fer-value" });
  const made = element("div", { class: "fer-bar" }, element("span", {}, name), track, number);
  updateBar(made, value, best);
  return made;
}

function updateBar(made, value, best) {
  made.querySelector(".fer-fill").style.width = `${100 * value}%`;
  setText(made.querySelector(".fer-value"), percent(value));
  made.classList.toggle("fer-best", best);
}

/** Write rows into a table body; cells that stay the same are left alone, so that text can be selected. */
function writeRows(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, r) => {
    const line = body.rows[r] ?? body.insertRow();
    row.forEach((text, c) => setText(line.cells[c] ?? line.insertCell(), text));
  });
}

function logRow([onset, face, label, score, kind, seconds]) {
  const lasted = seconds ? `${seconds.toFixed(2)} s` : "–";
  return [`${onset.toFixed(1)} s`, String(face), label, percent(score), kind, lasted];
}

/** Hand bytes from Python to the person as a file. */
function save({ name, type }, bytes) {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The result for an uploaded image: the marked faces and every class of every face, or why it was refused. */
function result({ name, faces, notes }, jpeg, names, colors) {
  const parts = [element("figcaption", {}, name), ...notes.map((note) => element("p", {}, note))];
  if (!faces) return element("figure", { class: "fer-refused" }, ...parts);
  const picture = element("img", { alt: `${name}, ${faces.length} faces marked` });
  picture.src = URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" }));
  picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
  if (!faces.length) parts.push(element("p", {}, "No face was found."));
  for (const { number, label, probabilities } of faces) {
    const best = Math.max(...probabilities);
    const bars = probabilities.map((value, i) => bar(names[i], value, colors[i % colors.length], value === best));
    const heading = faces.length > 1 ? `Face ${number}: ${label}` : label;
    parts.push(element("h5", {}, heading), element("div", { class: "fer-bars" }, ...bars));
  }
  return element("figure", {}, picture, element("div", {}, ...parts));
}

/** Build the page's elements; `act` has a function for each thing that a person can do. */
function layout(settings, card, act) {
  const button = (text, onclick, more = {}) => element("button", { type: "button", onclick, ...more }, text);
  const option = ([value, name]) => element("option", { value }, name);
  const own = settings.sources.map((name) => [name, name[0].toUpperCase() + name.slice(1)]);
  const sources = [["camera", "Browser camera"], ["upload", "Upload images"], ...own];
  const parts = {
    source: element("select", { onchange: act.choose }, ...sources.map(option)),
    start: button("Start", act.start, { class: "fer-live" }),
    stop: button("Stop", act.stop, { class: "fer-live", disabled: true }),
    clear: button("Clear", act.clear),
    record: element("input", { type: "checkbox", onchange: act.record }),
    rate: element("output", { class: "fer-live fer-rate" }),
    messages: element("ul", { class: "fer-messages" }),
    canvas: element("canvas", { width: 640, height: 480, role: "img", "aria-label": "no image yet" }),
    hint: element("p", { class: "fer-hint" }, "Choose a source and press Start."),
    timeline: new Timeline(settings.class_names, settings.colors),
    files: element("input", { type: "file", multiple: true, accept: "image/*", onchange: act.files }),
    results: element("div", { class: "fer-results", "aria-live": "polite" }),
    log: element("tbody"),
    csv: button("Events (CSV)", () => act.download("events")),
    video: button("Annotated video", () => act.download("video"), { disabled: true }),
  };
  parts.root = element(
    "div",
    { class: "fer-panel", role: "region", "aria-label": "Live demo of expression recognition" },
    controls(parts),
    element(
      "div",
      { class: "fer-live fer-columns" },
      element("div", { class: "fer-stage" }, parts.canvas, parts.hint),
      parts.timeline.node,
    ),
    element("div", { role: "status", "aria-live": "polite" }, parts.messages),
    element("div", { class: "fer-upload" }, dropZone(parts.files, settings, act), parts.results),
    logTable(parts.log),
    element("div", { class: "fer-downloads" }, element("span", {}, "Download: "), parts.csv, parts.video),
    about(card),
  );
  return parts;
}

function controls({ source, start, stop, clear, record, rate }) {
  const chosen = element("label", {}, "Source ", source);
  const recorded = element("label", { class: "fer-live" }, record, " Record");
  return element("div", { class: "fer-controls" }, chosen, start, stop, clear, recorded, rate);
}

function dropZone(files, settings, act) {
  const limit = `${settings.files} files at most, ${settings.file_bytes / 1e6} MB each.`;
  return element(
    "label",
    { class: "fer-drop", ondragover: (event) => event.preventDefault(), ondrop: act.drop },
    "Choose images, or drop them here ",
    files,
    element("small", {}, `${limit} They are classified and not stored.`),
  );
}

function logTable(body) {
  const names = COLUMNS.map((name) => element("th", { scope: "col" }, name));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...names)), body);
  const scrolled = element("div", { tabindex: 0, role: "group", "aria-label": "Log, newest first" }, table);
  return element("section", { class: "fer-live fer-log" }, element("h4", {}, "Log"), scrolled);
}

function about(card) {
  const text = element("div", { class: "fer-card" });
  text.innerHTML = card; // from this package; all other text is inserted as text
  text.querySelector("details")?.removeAttribute("open"); // it is open in the notebook
  return text;
}

function render({ model, el }) {
  const settings = model.get("settings");
  let running = null; // the source that plays
  let run = null; // a number for each start, so that late answers to an earlier one are known
  let uploading = null; // the files that are being sent
  let heard = performance.now(); // when something was last sent or answered
  let local = null; // a message that Python does not know of
  let remote = [];
  let imageAnswered = () => {};

  const send = (content, buffers = []) => {
    heard = performance.now();
    model.send(content, undefined, buffers);
  };
  const showMessages = () => {
    const texts = local ? [local, ...remote] : remote;
    if (texts.join("\n") === [...view.messages.children].map((item) => item.textContent).join("\n")) return;
    view.messages.replaceChildren(...texts.map((text) => element("li", {}, text)));
  };
  const report = (text) => {
    local = text;
    showMessages();
  };
  const setRunning = (source) => {
    running = source;
    view.start.disabled = running !== null || view.source.value === "upload";
    view.stop.disabled = running === null;
    view.root.dataset.source = view.source.value === "upload" ? "upload" : "live";
    view.root.dataset.running = String(running !== null);
  };
  const halt = () => {
    camera.stop();
    if (running !== null) send({ kind: "stop" });
    setRunning(null);
  };
  const addResult = (figure) => {
    view.results.prepend(figure);
    while (view.results.children.length > MOST_RESULTS) view.results.lastChild.remove();
  };
  const upload = async (files) => {
    const mine = (uploading = [...files].slice(0, settings.files));
    report(files.length > settings.files ? `Only the first ${settings.files} files are taken.` : null);
    let number = 0;
    for (const file of mine) {
      if (uploading !== mine) return;
      if (file.size > settings.file_bytes) {
        const note = `${(file.size / 1e6).toFixed(1)} MB; at most ${settings.file_bytes / 1e6} MB are accepted.`;
        addResult(result({ name: file.name, faces: null, notes: [note] }));
        continue;
      }
      const answered = new Promise((resolve) => (imageAnswered = resolve));
      send({ kind: "image", name: file.name, number: number++ }, [await file.arrayBuffer()]);
      await answered;
    }
    if (uploading === mine) uploading = null;
  };
  const act = {
    choose: () => {
      uploading = null;
      halt();
      report(null);
    },
    start: () => {
      run = Math.random();
      report(null);
      setRunning(view.source.value);
      if (running === "camera") camera.start(run);
      else send({ kind: "start", source: running, run });
    },
    stop: halt,
    clear: () => {
      report(null);
      view.results.replaceChildren();
      if (running === null) blank();
      send({ kind: "clear" });
    },
    record: () => send({ kind: "record", on: view.record.checked }),
    files: () => {
      upload(view.files.files).finally(() => (view.files.value = ""));
    },
    drop: (event) => {
      event.preventDefault();
      upload(event.dataTransfer.files);
    },
    download: (what) => send({ kind: "download", what }),
  };
  const view = layout(settings, model.get("card"), act);
  const camera = new Camera({ side: settings.side, send, report, ended: halt });

  const blank = () => {
    view.canvas.getContext("2d").clearRect(0, 0, view.canvas.width, view.canvas.height);
    view.hint.hidden = false;
    view.canvas.setAttribute("aria-label", "no image yet");
  };
  const draw = async (jpeg, faces) => {
    const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (view.canvas.width !== picture.width) view.canvas.width = picture.width;
    if (view.canvas.height !== picture.height) view.canvas.height = picture.height;
    view.canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    view.hint.hidden = true;
    const said = faces.map((face) => `face ${face.number} ${face.label} ${percent(Math.max(...face.probabilities))}`);
    view.canvas.setAttribute("aria-label", said.join(", ") || "no face");
    send({ kind: "drawn" });
  };
  const receive = {
    state: (state, [jpeg]) => {
      if (running === null || state.run === run) {
        run = state.run;
        if (state.playing !== "camera") camera.stop();
        setRunning(state.playing === "camera" && !camera.on ? null : state.playing);
      }
      if (camera.on && state.answer === run) camera.inFlight = Math.max(0, camera.inFlight - 1);
      if (state.reset) view.timeline.reset();
      if (state.log) writeRows(view.log, state.log.map(logRow));
      view.timeline.add(state.points);
      setText(view.rate, state.rate ? `${state.rate.toFixed(1)} frames per second` : "");
      view.video.disabled = !state.video;
      remote = state.messages;
      showMessages();
      if (jpeg) draw(jpeg, state.faces);
    },
    picture: (answer, [jpeg]) => {
      addResult(result(answer, jpeg, settings.class_names, settings.colors));
      imageAnswered();
    },
    file: (file, [bytes]) => save(file, bytes),
  };
  const onMessage = (content, buffers) => {
    heard = performance.now();
    if (local?.startsWith(SILENT)) report(null);
    receive[content.kind](content, buffers);
  };
  const watch = setInterval(() => {
    const waits = camera.on ? camera.inFlight > 0 : running !== null || uploading !== null;
    const seconds = (performance.now() - heard) / 1000;
    if (!waits || seconds < PATIENCE) return;
    if (camera.on && seconds > GIVE_UP) halt();
    report(`${SILENT}: it is busy or has ended. If this stays, restart it (Kernel > Restart) and run all cells.`);
  }, 1000);

  model.on("msg:custom", onMessage);
  el.append(view.root);
  setRunning(null);
  send({ kind: "hello" });
  return () => {
    clearInterval(watch);
    uploading = null;
    halt();
    model.off("msg:custom", onMessage);
  };
}

const SILENT = "No answer from the kernel";

export default { render };
