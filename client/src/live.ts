/** The live page. */

import { drawResult } from "./draw";
import { History } from "./history";
import { clock, find, saveFile } from "./page";
import { PeopleView } from "./people";
import { type FrameResult, serverMs, toCsv } from "./result";
import { LiveSession } from "./session";
import { closeSource, listCameras, openCamera, openClip, SourceError } from "./source";
import { Timeline } from "./timeline";
import type { LinkState } from "./transport";

const root = find("[data-live]");
const pick = <T extends HTMLElement = HTMLElement>(name: string): T => find<T>(`[data-${name}]`, root);

const video = pick<HTMLVideoElement>("video");
const overlay = pick<HTMLCanvasElement>("overlay");
const consent = pick("consent");
const problem = pick("problem");
const toast = pick("toast");
const stage = pick("stage");
const announce = pick("announce");
const pauseButton = pick<HTMLButtonElement>("pause");
const recordButton = pick<HTMLButtonElement>("record");
const cameraChoice = pick<HTMLSelectElement>("camera");
const resolution = pick<HTMLSelectElement>("resolution");
const mirror = pick<HTMLInputElement>("mirror");
const landmarks = pick<HTMLInputElement>("landmarks");
const downloads = [pick<HTMLButtonElement>("csv"), pick<HTMLButtonElement>("json")] as const;

const people = new PeopleView(pick("people"), pick("nobody"));
const timeline = new Timeline(
  pick("timeline"), pick("plot"), pick("legend"), pick<HTMLSelectElement>("person"),
);
const history = new History();
const arrivals: number[] = [];
let session: LiveSession | undefined;
let latest: FrameResult | undefined;
let fromCamera = false;
let recordingSince: number | undefined;
let wantsRecording = false;
let offsetS = 0;
let lastS = 0;
let lastSpoken = "";
let latencyMs = 0;
let workMs = 0;

const STATES: Record<LinkState, string> = {
  connecting: "Connecting to the server…",
  open: "",
  away: "The server is away. Trying again…",
  full: "All live places on this server are taken. Trying again…",
};

let saidFor: ReturnType<typeof setTimeout> | undefined;

/** @param forMs after which the words go again; what stays until it is mended is said for ever */
function say(text: string, bad = false, forMs = 0): void {
  clearTimeout(saidFor);
  if (forMs) saidFor = setTimeout(() => say(""), forMs);
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  toast.hidden = !text;
}

async function begin(open: () => Promise<unknown>, camera: boolean): Promise<void> {
  say("");
  problem.hidden = true;
  try {
    await open();
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    closeSource(video);
    // Before the start there is room for it beside the buttons; afterwards the picture goes on top.
    if (consent.hidden) say(error.message, true);
    problem.textContent = error.message;
    problem.hidden = false;
    return;
  }
  fromCamera = camera;
  pick("camera-choice").hidden = !camera;
  mirror.disabled = !camera;
  consent.hidden = true;
  for (const name of ["controls", "settings", "stats"]) pick(name).hidden = false;
  video.hidden = overlay.hidden = false;
  fitStage();
  applyMirror();
  session ??= new LiveSession(video, { onResult, onState, onNotice, onSlow });
  applyResolution();
  session.showLandmarks(landmarks.checked);
  setPaused(false);
  if (camera) {
    watchCamera();
    await fillCameras();
  }
}

/** The stage takes the picture's shape, so that no black bars stand beside it. */
function fitStage(): void {
  if (video.videoWidth) stage.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
}

const startCamera = (): Promise<void> =>
  begin(() => openCamera(video, cameraChoice.value, Number(resolution.value) || 640), true);
const startClip = (): Promise<void> =>
  begin(() => openClip(video, root.dataset["clip"] ?? ""), false);

function stop(): void {
  setRecording(false);
  session?.close();
  session = undefined;
  closeSource(video);
  people.clear();
  timeline.clear();
  latest = undefined;
  offsetS = lastS = 0;
  overlay.getContext("2d")?.clearRect(0, 0, overlay.width, overlay.height);
  for (const name of ["controls", "settings", "stats"]) pick(name).hidden = true;
  video.hidden = overlay.hidden = true;
  stage.style.removeProperty("aspect-ratio");
  consent.hidden = false;
  recordingSince = undefined;
  showRecording();
  say("");
  history.clear();
  for (const button of downloads) button.disabled = true;
}

function watchCamera(): void {
  const stream = video.srcObject;
  if (!(stream instanceof MediaStream)) return;
  for (const track of stream.getVideoTracks()) {
    track.addEventListener("ended", () => {
      if (video.srcObject === stream) say(new SourceError("ended").message, true);
    });
  }
}

async function fillCameras(): Promise<void> {
  const cameras = await listCameras();
  const stream = video.srcObject;
  const current =
    stream instanceof MediaStream ? stream.getVideoTracks()[0]?.getSettings().deviceId : undefined;
  cameraChoice.replaceChildren(
    ...cameras.map((camera, index) => {
      const option = new Option(camera.label || `Camera ${index + 1}`, camera.deviceId);
      option.selected = camera.deviceId === current;
      return option;
    }),
  );
}

function onResult(result: FrameResult, tookMs: number): void {
  const now = performance.now();
  latest = result;
  // A stream that was opened again counts from nought; the page's time goes on.
  const streamS = result.timestamp_s ?? 0;
  if (offsetS + streamS <= lastS) offsetS = lastS + 0.05 - streamS;
  lastS = offsetS + streamS;
  history.add({ ...result, timestamp_s: Number(lastS.toFixed(4)) });
  drawResult(overlay, result, { mirrored: mirrored(), landmarks: landmarks.checked });
  people.show(result.faces, now);
  timeline.add(result.faces, lastS, now);
  for (const button of downloads) button.disabled = false;
  showStats(now, tookMs, result);
  speak(result);
}

function showStats(now: number, tookMs: number, result: FrameResult): void {
  arrivals.push(now);
  while (arrivals.length > 2 && now - (arrivals[0] ?? now) > 2000) arrivals.shift();
  latencyMs = latencyMs ? 0.8 * latencyMs + 0.2 * tookMs : tookMs;
  const spanS = (now - (arrivals[0] ?? now)) / 1000;
  pick("fps").textContent = spanS > 0 ? ((arrivals.length - 1) / spanS).toFixed(1) : "–";
  pick("latency").textContent = latencyMs.toFixed(0);
  workMs = workMs ? 0.8 * workMs + 0.2 * serverMs(result) : serverMs(result);
  pick("server").textContent = workMs.toFixed(0);
  pick("size").textContent = result.image_size_wh.join(" × ");
  if (recordingSince !== undefined) {
    pick("rec-time").textContent = clock((now - recordingSince) / 1000);
  }
}

/** Screen readers hear changes, not every frame. */
function speak(result: FrameResult): void {
  const words = result.faces
    .filter((face) => face.expression && !face.expression.uncertain)
    .map((face) => `Person ${face.track_id}: ${face.expression?.label}`)
    .join(", ");
  if (words && words !== lastSpoken) announce.textContent = lastSpoken = words;
}

function onState(state: LinkState, transport: string): void {
  say(STATES[state], state === "away" || state === "full");
  pick("link").textContent = state === "open" ? transport : "not connected";
  if (state === "open" && wantsRecording) session?.record(true);
  if (state === "away") {
    recordingSince = undefined;
    showRecording();
  }
}

function onNotice(answer: Parameters<ConstructorParameters<typeof LiveSession>[1]["onNotice"]>[0]): void {
  if (answer.type === "busy") {
    say("The server is busy; frames are sent more slowly.", false, 2500);
  } else if (answer.type === "error") {
    say(answer.error.message, true);
    if (answer.error.code === "storage_unavailable") setRecording(false);
  } else if (answer.type === "recording" && answer.state === "started") {
    recordingSince = performance.now();
    showRecording();
  } else if (answer.type === "recording" && answer.state === "stopped" && answer.session_id) {
    recordingSince = undefined;
    showRecording();
    const words = answer.complete ? "Recorded. It is in your sessions." : "The end could not be stored.";
    say(words, !answer.complete, 4000);
  }
}

function onSlow(): void {
  say("The network is slow; smaller pictures are sent.", false, 4000);
}

function setRecording(wanted: boolean): void {
  if (wantsRecording === wanted) return;
  wantsRecording = wanted;
  recordButton.setAttribute("aria-pressed", String(wanted));
  session?.record(wanted);
}

function showRecording(): void {
  pick("rec").hidden = recordingSince === undefined;
}

function setPaused(paused: boolean): void {
  if (session) session.paused = paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  if (paused) video.pause();
  else void video.play();
}

const mirrored = (): boolean => fromCamera && mirror.checked;

function applyMirror(): void {
  video.classList.toggle("mirrored", mirrored());
  if (latest) drawResult(overlay, latest, { mirrored: mirrored(), landmarks: landmarks.checked });
}

function applyResolution(): void {
  if (session) session.fixedWidth = Number(resolution.value) || null;
}

function snapshot(): void {
  const canvas = document.createElement("canvas");
  canvas.width = overlay.width;
  canvas.height = overlay.height;
  const context = canvas.getContext("2d");
  if (!context || !video.videoWidth) return;
  const scale = Math.min(canvas.width / video.videoWidth, canvas.height / video.videoHeight);
  const width = video.videoWidth * scale;
  const height = video.videoHeight * scale;
  context.save();
  if (mirrored()) {
    context.translate(canvas.width, 0);
    context.scale(-1, 1);
  }
  context.drawImage(video, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  context.restore();
  context.drawImage(overlay, 0, 0);
  canvas.toBlob((blob) => blob && saveFile("snapshot.png", blob, "image/png"), "image/png");
}

const start = pick<HTMLButtonElement>("start");
const clip = pick<HTMLButtonElement>("start-clip");
start.addEventListener("click", () => void startCamera());
clip.addEventListener("click", () => void startClip());
pick("stop").addEventListener("click", stop);
pauseButton.addEventListener("click", () => setPaused(pauseButton.ariaPressed !== "true"));
recordButton.addEventListener("click", () => setRecording(!wantsRecording));
pick("snapshot").addEventListener("click", snapshot);
mirror.addEventListener("change", applyMirror);
landmarks.addEventListener("change", () => session?.showLandmarks(landmarks.checked));
cameraChoice.addEventListener("change", () => {
  closeSource(video);
  void startCamera();
});
resolution.addEventListener("change", () => {
  applyResolution();
  if (fromCamera) {
    closeSource(video);
    void startCamera();
  }
});
downloads[0].addEventListener("click", () => saveFile("mien.csv", toCsv(history.all()), "text/csv"));
downloads[1].addEventListener("click", () =>
  saveFile("mien.json", JSON.stringify({ schema_version: 1, results: history.all() }), "application/json"),
);
video.addEventListener("resize", fitStage);
addEventListener("pagehide", () => session?.close());
start.disabled = clip.disabled = false;
