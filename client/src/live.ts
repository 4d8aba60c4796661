/** The live page. */

import { Boxes } from "./boxes";
import { saveSnapshot } from "./draw";
import { Continuity } from "./continuity";
import { StillCorrection } from "./correct";
import { prepareMien } from "./device";
import { publish } from "./embed";
import { History } from "./history";
import { askForName } from "./naming";
import { clock, COOKIES_NEEDED, deviceAddresses, find, onePress, saveFile, SERVER_UNREACHABLE, showPlace } from "./page";
import { announcement, PeopleView } from "./people";
import { NeutralButton } from "./rest";
import { type FrameResult, type Notice, serverMs, toCsv } from "./result";
import { useKeys } from "./keys";
import { LiveSession, type Picture, release } from "./session";
import { closeSource, listCameras, openCamera, openClip, SourceError } from "./source";
import { Timeline } from "./timeline";
import type { LinkState } from "./transport";
import { decimal, problemText, t, word } from "./words";

const root = find("[data-live]");
const pick = <T extends HTMLElement = HTMLElement>(name: string): T => find<T>(`[data-${name}]`, root);

const video = pick<HTMLVideoElement>("video");
const overlay = pick<HTMLCanvasElement>("overlay");
const consent = pick("consent");
const problem = pick("problem");
const toast = pick("toast");
const announce = pick("announce");
const pauseButton = pick<HTMLButtonElement>("pause");
const recordButton = pick<HTMLButtonElement>("record");
const restartButton = pick<HTMLButtonElement>("restart");
const cameraChoice = pick<HTMLSelectElement>("camera");
const resolution = pick<HTMLSelectElement>("resolution");
const mirror = pick<HTMLInputElement>("mirror");
const landmarks = pick<HTMLInputElement>("landmarks");
const engineChoice = pick<HTMLSelectElement>("engine-choice");
const downloads = [pick<HTMLButtonElement>("csv"), pick<HTMLButtonElement>("json")] as const;

const timeline = new Timeline(pick("timeline-title"), pick("plot"), pick("legend"));
const people = new PeopleView(pick("people"), pick("people-empty"), choose);
const boxes = new Boxes(overlay, pick("rec"), () => ({ mirrored: mirrored(), landmarks: landmarks.checked }));
const correction = new StillCorrection();
const neutral = new NeutralButton((id, use) => session?.useAsNeutral(continuity.inStream(id), use));
const history = new History();
let continuity = new Continuity();
const arrivals: number[] = [];
let session: LiveSession | undefined;
let fromCamera = false;
let paused = false;
let recording = false;
let recordingSince = 0;
let recordingRequested = false;
let recordedSession: string | undefined;
let lastAnnounced = "";
let shown: FrameResult | undefined;
let shownPicture: Picture | undefined;
let shownAt = 0;
let [latencyMs, serverSmoothedMs] = [0, 0];

const STATES: Record<LinkState, string> = {
  connecting: t("Connecting to the server…"),
  open: "",
  unreachable: SERVER_UNREACHABLE,
  full: t("The server has reached its limit of live connections. Retrying…"),
};

const onSlow = (): void => showMessage(t("The network is slow. Sending smaller images."), false, 4000);
let messageTimer: ReturnType<typeof setTimeout> | undefined;

/** @param forMs duration of the message; 0 shows it until it is replaced */
function showMessage(text: string, bad = false, forMs = 0): void {
  restartButton.hidden = true;
  clearTimeout(messageTimer);
  if (forMs) messageTimer = setTimeout(() => showMessage(""), forMs);
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  toast.hidden = !text;
}

/** Where the device analyzes frames, what it needs for that. */
const deviceInUse = () => (root.dataset["engine"] === "device" ? deviceAddresses(root) : null);

async function start(open: () => Promise<boolean>, camera: boolean): Promise<void> {
  showMessage("");
  problem.hidden = true;
  const device = deviceInUse();
  if (device && !session) prepareMien(device);
  try {
    if (!(await open())) return;
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    closeSource(video);
    // Before the start, the message is shown beside the buttons; later, on top of the video.
    if (consent.hidden) {
      showMessage(error.message, true);
      restartButton.hidden = !camera;
    }
    problem.textContent = error.message;
    problem.hidden = false;
    return;
  }
  fromCamera = camera;
  pick("camera-choice").hidden = !camera;
  mirror.disabled = !camera;
  consent.hidden = true;
  setPlaying(true);
  video.hidden = overlay.hidden = false;
  fitStage();
  applyMirror();
  connect();
  setPaused(false);
  if (camera) {
    watchCamera();
    await fillCameras();
  }
}

function connect(): LiveSession {
  session ??= new LiveSession(video, { onResult, onState, onNotice, onSlow, onDeviceUnavailable }, deviceInUse());
  applyResolution();
  session.showLandmarks(landmarks.checked);
  return session;
}

/** Where frames are analyzed: `data-engine` of the page says what is in use. */
function setEngine(name: string): void {
  if (root.dataset["engine"] === name) return;
  root.dataset["engine"] = name;
  engineChoice.value = name;
  showPlace(name, root);
  const running = session;
  if (!running) return;
  const wasRecording = recordingRequested;
  setRecording(false);
  running.close();
  session = undefined;
  connect().paused = running.paused;
  setRecording(wasRecording);
}

/** The page promised that no picture leaves the device: the server gets them after the visitor starts again. */
function onDeviceUnavailable(reason: string): void {
  console.warn(`mien: ${reason}`);
  stop();
  const maySend = !find("label:has([data-engine-choice])", root).hidden;
  if (maySend) setEngine("server");
  problem.textContent = maySend
    ? t("This browser cannot analyze frames itself. Start again to send them to the server.")
    : t("This browser cannot analyze frames. Use a current browser.");
  problem.hidden = false;
}

/** Give the stage the aspect ratio of the video, so that it has no black bars. */
function fitStage(): void {
  if (video.videoWidth) root.style.setProperty("--ratio", `${video.videoWidth / video.videoHeight}`);
}

/** While the source plays, all of the page is one screen. */
function setPlaying(playing: boolean): void {
  root.classList.toggle("playing", playing);
  for (const name of ["controls", "timeline"]) pick(name).hidden = !playing;
}

const startCamera = (): Promise<void> => start(() => openCamera(video, cameraChoice.value, Number(resolution.value) || 640), true);
const startClip = (): Promise<void> => start(() => openClip(video, root.dataset["clip"] ?? ""), false);

function stop(leaving = false): void {
  if (leaving) session?.close(true);
  setRecording(false);
  session?.close();
  session = undefined;
  closeSource(video);
  people.clear();
  setShown(undefined, undefined);
  offerCorrection();
  timeline.clear();
  neutral.clear();
  continuity = new Continuity();
  boxes.clear();
  setPlaying(false);
  video.hidden = overlay.hidden = true;
  consent.hidden = false;
  recording = paused = false;
  showRecording();
  showMessage("");
  history.clear();
  for (const button of downloads) button.disabled = true;
}

function watchCamera(): void {
  const stream = video.srcObject;
  if (!(stream instanceof MediaStream)) return;
  for (const track of stream.getVideoTracks()) {
    track.addEventListener("ended", () => {
      if (video.srcObject !== stream) return;
      // The last frame, or black ones, would be analyzed again and again.
      if (session) session.paused = true;
      boxes.clear();
      showMessage(new SourceError("ended").message, true);
      restartButton.hidden = false;
    });
  }
}

async function fillCameras(): Promise<void> {
  const cameras = await listCameras();
  const stream = video.srcObject;
  const current = stream instanceof MediaStream ? stream.getVideoTracks()[0]?.getSettings().deviceId : undefined;
  cameraChoice.replaceChildren(
    ...cameras.map((camera, index) => {
      const option = new Option(camera.label || t("Camera %(number)s", { number: index + 1 }), camera.deviceId);
      option.selected = camera.deviceId === current;
      return option;
    }),
  );
}

function setShown(result: FrameResult | undefined, picture: Picture | undefined): void {
  release(shownPicture);
  [shown, shownPicture] = [result, picture];
}

function onResult(received: FrameResult, tookMs: number, picture: Picture | undefined): void {
  const now = performance.now();
  const result = continuity.join(received, now);
  history.add(result);
  publish(result);
  boxes.show(result, tookMs, paused);
  setShown(result, picture);
  shownAt = now;
  people.show(result.faces, now, timeline.add(result.faces, result.timestamp_s ?? 0, now));
  offerCorrection();
  for (const button of downloads) button.disabled = false;
  showStats(now, tookMs, result);
  // Changes only, not every frame.
  const said = announcement(result);
  if (said && said !== lastAnnounced) announce.textContent = lastAnnounced = said;
}

function choose(id: number): void {
  timeline.choose(id);
  // While the picture stands still, no result would change the card.
  if (paused && shown) people.show(shown.faces, shownAt, id);
  offerCorrection();
}

/** A label can be corrected where the picture stands still. */
function offerCorrection(): void {
  const { root: card, trackId } = people.chosenCard;
  neutral.show(card?.querySelector(".movements"), trackId);
  const face = paused ? shown?.faces.find(({ track_id }) => track_id === trackId) : undefined;
  correction.show(card, face && shown && shownPicture && { face, picture: shownPicture, wide: shown.image_size_wh[0] });
}

function showStats(now: number, tookMs: number, result: FrameResult): void {
  arrivals.push(now);
  while (arrivals.length > 2 && now - (arrivals[0] ?? now) > 2000) arrivals.shift();
  latencyMs = latencyMs ? 0.8 * latencyMs + 0.2 * tookMs : tookMs;
  const spanS = (now - (arrivals[0] ?? now)) / 1000;
  pick("fps").textContent = spanS > 0 ? decimal((arrivals.length - 1) / spanS) : "–";
  pick("latency").textContent = latencyMs.toFixed(0);
  serverSmoothedMs = serverSmoothedMs ? 0.8 * serverSmoothedMs + 0.2 * serverMs(result) : serverMs(result);
  pick("server").textContent = serverSmoothedMs.toFixed(0);
  pick("size").textContent = result.image_size_wh.join(" × ");
  if (recording) pick("rec-time").textContent = clock((now - recordingSince) / 1000);
}

function onState(state: LinkState, transport: string): void {
  showMessage(STATES[state], state === "unreachable" || state === "full");
  pick("link").textContent = state === "open" ? word(transport) : t("not connected");
  if (state === "open") {
    continuity.reopen();
    if (recordingRequested) session?.record(true, recordedSession);
  }
  if (state === "unreachable") {
    recording = false;
    showRecording();
  }
}

function onNotice(notice: Notice): void {
  if (notice.type === "busy") {
    showMessage(t("The server is busy. Sending fewer frames."), false, 2500);
  } else if (notice.type === "error") {
    // Of an earlier recording: the next one, which was asked for, has no session yet.
    if (notice.error.code === "session_deleted" && recordingRequested && !recordedSession) return;
    showMessage(problemText(notice.error), true);
    if (["storage_unavailable", "storage_full", "session_deleted", "recording_failed"].includes(notice.error.code)) setRecording(false);
  } else if (notice.type === "neutral") {
    showMessage(neutral.answered(continuity.ofStream(notice.track_id), notice.is_set), true, 4000);
  } else if (notice.type === "recording" && notice.state === "started") {
    // A session that goes on after a lost connection has its whole time.
    if (recordedSession !== notice.session_id) {
      recordingSince = performance.now();
      if (toast.classList.contains("bad")) showMessage("");
    }
    recordedSession = notice.session_id;
    recording = true;
    showRecording();
  } else if (notice.type === "recording" && notice.state === "stopped") {
    // That of an earlier recording may arrive after the start of the next one.
    const isEarlier = recordingRequested && recordedSession !== undefined && notice.session_id !== recordedSession;
    recording &&= isEarlier;
    showRecording();
    if (!notice.session_id) return;
    const text = notice.complete
      ? t("Recording saved in your sessions.")
      : t("The end of the recording could not be saved.");
    showMessage(text, !notice.complete, 4000);
    if (notice.complete) askForName(root, notice.session_id, showMessage);
  }
}

function setRecording(requested: boolean): void {
  if (recordingRequested === requested) return;
  if (requested && !navigator.cookieEnabled) return showMessage(COOKIES_NEEDED, true, 8000);
  recordingRequested = requested;
  if (requested) recordedSession = undefined;
  recordButton.setAttribute("aria-pressed", String(requested));
  pick("record-text").hidden = requested;
  pick("record-end").hidden = !requested;
  session?.record(requested);
}

function showRecording(): void {
  pick("rec").hidden = !recording && !paused;
  pick("rec").classList.toggle("on", recording && !paused);
  pick("rec-state").textContent = recording ? (paused ? t("Recording paused") : t("Recording")) : t("Paused");
  pick("rec-time").hidden = !recording;
}

function setPaused(requested: boolean): void {
  paused = requested;
  if (session) session.paused = paused;
  pauseButton.textContent = paused ? t("Resume") : t("Pause");
  showRecording();
  if (paused) {
    boxes.hold();
    // The badge is longer now, and labels leave it free.
    boxes.redraw();
    video.pause();
  } else video.play().catch(() => undefined); // another pause, or the end, interrupts it
  offerCorrection();
}

const mirrored = (): boolean => fromCamera && mirror.checked;

function applyMirror(): void {
  video.classList.toggle("mirrored", mirrored());
  root.classList.toggle("mirror", mirrored());
  boxes.redraw();
}

function applyResolution(): void {
  if (session) session.fixedWidth = Number(resolution.value) || null;
}

function toggleFullScreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void root.requestFullscreen?.();
}

const cameraButton = pick<HTMLButtonElement>("start");
const clipButton = pick<HTMLButtonElement>("start-clip");
onePress([cameraButton, startCamera], [clipButton, startClip]);
restartButton.addEventListener("click", () => void startCamera());
pick("stop").addEventListener("click", () => stop());
pauseButton.addEventListener("click", () => setPaused(!paused));
recordButton.addEventListener("click", () => setRecording(!recordingRequested));
pick("snapshot").addEventListener("click", () => saveSnapshot(video, overlay, mirrored()));
mirror.addEventListener("change", applyMirror);
engineChoice.addEventListener("change", () => setEngine(engineChoice.value));
landmarks.addEventListener("change", () => session?.showLandmarks(landmarks.checked));
cameraChoice.addEventListener("change", () => void startCamera());
resolution.addEventListener("change", () => {
  applyResolution();
  if (fromCamera) void startCamera();
});
downloads[0].addEventListener("click", () => saveFile("mien.csv", toCsv(history.all()), "text/csv"));
downloads[1].addEventListener("click", () =>
  saveFile("mien.json", JSON.stringify({ schema_version: 1, results: history.all() }), "application/json"),
);
video.addEventListener("resize", fitStage);
useKeys(pick<HTMLInputElement>("shortcuts"), pick("help"), {
  " ": () => setPaused(!paused),
  r: () => setRecording(!recordingRequested),
  s: () => saveSnapshot(video, overlay, mirrored()),
  f: toggleFullScreen,
  ArrowLeft: () => people.step(-1),
  ArrowRight: () => people.step(1),
}, () => root.classList.contains("playing"));
const fullScreenButton = pick("fullscreen");
fullScreenButton.hidden = !document.fullscreenEnabled;
fullScreenButton.addEventListener("click", toggleFullScreen);
// Browsers may show the page again as it was, when a visitor goes back.
addEventListener("pagehide", () => stop(true));
cameraButton.disabled = clipButton.disabled = false;
