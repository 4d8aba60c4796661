/** The page of `mien export-site`: live, photographs and video files, on the device alone. */

import type * as library from "../src/index";
import type { FrameResult } from "../src/documents";
import { toCsv } from "../../src/result";

const ENOUGH_RESULTS = 100_000;
const LOADING = "Loading the networks…";

const find = <T extends HTMLElement>(name: string): T => {
  const element = document.querySelector<T>(`[data-${name}]`);
  if (!element) throw new Error(`expected an element data-${name} on the page`);
  return element;
};
const video = find<HTMLVideoElement>("video");
const overlay = find<HTMLCanvasElement>("overlay");
const photo = find<HTMLCanvasElement>("photo");
const stage = find("stage");
const status = find("status");
const faces = find("faces");
const progress = find<HTMLProgressElement>("progress");
const stopButton = find<HTMLButtonElement>("stop");
const downloads = [find<HTMLButtonElement>("csv"), find<HTMLButtonElement>("json")] as const;

let { Mien, draw } = {} as typeof library;
let engineLoading: Promise<library.Mien> | undefined;
let results: FrameResult[] = [];
let running: AbortController | undefined;

function say(text: string, isBad = false): void {
  status.textContent = text;
  status.classList.toggle("bad", isBad);
}

/** One engine, also for tasks that begin while it loads. */
function engine(): Promise<library.Mien> {
  engineLoading ??= load().catch((error: unknown) => {
    engineLoading = undefined;
    throw error;
  });
  return engineLoading;
}

async function load(): Promise<library.Mien> {
  say(LOADING);
  ({ Mien, draw } = (await import(/* @vite-ignore */ new URL("./mien-web.js", location.href).href)) as typeof library);
  const mien = await Mien.create({ assets: "models/", runtime: "runtime/" });
  // Another message may have come meanwhile: that the camera was denied.
  if (status.textContent === LOADING) say("");
  return mien;
}

/** Runs one task at a time: a new one ends the one before. */
async function run(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  running?.abort();
  const own = (running = new AbortController());
  clear();
  stopButton.hidden = false;
  try {
    await task(own.signal);
  } catch (error) {
    if (!own.signal.aborted) say(error instanceof Error ? error.message : String(error), true);
    if (isOver(error)) engineLoading = undefined;
  }
  if (running !== own) return;
  stopButton.hidden = progress.hidden = true;
}

/** Removes what was shown, so that no message stands above the faces of another picture. */
function clear(): void {
  results = [];
  faces.replaceChildren();
  stage.hidden = true;
  for (const button of downloads) button.disabled = true;
}

function show(result: FrameResult, canvas: HTMLCanvasElement, mirrored = false): void {
  draw(canvas, result, { mirrored });
  if (results.length < ENOUGH_RESULTS) results.push(result);
  for (const button of downloads) button.disabled = false;
  faces.replaceChildren(...result.faces.map(card));
  if (!result.faces.length) faces.textContent = "No face found.";
}

function card(face: FrameResult["faces"][number], index: number): HTMLElement {
  const box = document.createElement("section");
  const title = document.createElement("h2");
  title.textContent = face.track_id === null ? `Face ${index + 1}` : `Person ${face.track_id}`;
  const label = document.createElement("p");
  const { expression, quality } = face;
  label.className = "label";
  label.textContent = expression ? `${expression.label}${expression.uncertain ? " (uncertain)" : ""}` : "";
  const bars = document.createElement("dl");
  for (const [name, share] of Object.entries(expression?.probabilities ?? {}).sort(([, a], [, b]) => b - a).slice(0, 4)) {
    const term = document.createElement("dt");
    term.textContent = name;
    const value = document.createElement("dd");
    const meter = document.createElement("meter");
    meter.value = share;
    meter.title = `${Math.round(100 * share)} %`;
    value.append(meter, ` ${Math.round(100 * share)} %`);
    bars.append(term, value);
  }
  box.append(title, label, bars);
  if (quality?.reasons.length) box.append(`Look closer: ${quality.reasons.join(", ")}.`);
  return box;
}

function useVideo(isMirrored: boolean): void {
  photo.hidden = true;
  video.hidden = overlay.hidden = stage.hidden = false;
  stage.classList.toggle("mirrored", isMirrored);
}

function fitOverlay(): void {
  overlay.width = video.videoWidth;
  overlay.height = video.videoHeight;
}

async function watchCamera(signal: AbortSignal): Promise<void> {
  if (!navigator.mediaDevices) throw new Error("Browsers allow camera access only on secure pages. Use HTTPS, or http://localhost.");
  // The networks load while the visitor answers the browser's question about the camera.
  const loading = engine();
  loading.catch(() => undefined);
  let camera: MediaStream;
  try {
    camera = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: 640, facingMode: "user" } });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    throw new Error(
      name === "NotAllowedError"
        ? "Camera access was denied. Allow it in the address bar, then start again."
        : "No camera can be used. Connect one, close programs that use it, then start again.",
    );
  }
  try {
    const loaded = await loading;
    if (signal.aborted) return;
    video.srcObject = camera;
    await video.play();
    useVideo(true);
    fitOverlay();
    say("Nothing leaves this device.");
    camera.getVideoTracks()[0]?.addEventListener("ended", () => running?.abort());
    await loaded.stream(video, { signal, onResult: (result) => !signal.aborted && show(result, overlay, true) });
  } finally {
    for (const track of camera.getTracks()) track.stop();
    if (video.srcObject === camera) video.srcObject = null;
  }
}

async function analyzePhotos(files: readonly File[], signal: AbortSignal): Promise<void> {
  const loaded = await engine();
  if (signal.aborted) return;
  photo.hidden = false;
  stage.classList.remove("mirrored");
  video.hidden = true;
  progress.hidden = files.length < 2;
  const problems: string[] = [];
  for (const [k, file] of files.entries()) {
    progress.value = k / files.length;
    say(files.length > 1 ? `${k + 1} of ${files.length}: ${file.name}` : file.name);
    try {
      await analyzePhoto(loaded, file, signal);
    } catch (error) {
      // Only one file of several may be at fault.
      if (isOver(error)) throw error;
      problems.push(error instanceof Error ? error.message : String(error));
    }
    if (signal.aborted) return;
  }
  if (problems.length) say(problems.join(" "), true);
}

async function analyzePhoto(loaded: library.Mien, file: File, signal: AbortSignal): Promise<void> {
  const image = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is no picture that this browser can decode.`);
  });
  try {
    const result = await loaded.analyze(image).catch((error: unknown) => {
      throw isOver(error) ? error : new Error(`${file.name}: ${error instanceof Error ? error.message : String(error)}.`);
    });
    if (signal.aborted) return;
    photo.width = overlay.width = image.width;
    photo.height = overlay.height = image.height;
    photo.getContext("2d")?.drawImage(image, 0, 0);
    stage.hidden = overlay.hidden = false;
    show({ ...result, source: file.name }, overlay);
  } finally {
    image.close();
  }
}

/** Whether a worker ended; it is replaced at the next start. */
function isOver(error: unknown): boolean {
  return /running worker/.test(String(error));
}

async function analyzeVideo(file: File, signal: AbortSignal): Promise<void> {
  const loaded = await engine();
  stage.classList.remove("mirrored");
  photo.hidden = overlay.hidden = false;
  video.hidden = true;
  progress.hidden = false;
  progress.value = 0;
  const started = performance.now();
  let count = 0;
  const decoder = await loaded
    .film(file, {
      signal,
      onResult: (result, image) => {
        if (signal.aborted) return;
        stage.hidden = false;
        photo.width = overlay.width = image.width;
        photo.height = overlay.height = image.height;
        photo.getContext("2d")?.drawImage(image, 0, 0);
        show({ ...result, source: file.name }, overlay);
        count += 1;
      },
      onProgress: (doneS, durationS) => {
        if (signal.aborted) return;
        progress.value = doneS / durationS;
        say(`${doneS.toFixed(1)} of ${durationS.toFixed(1)} s`);
      },
    })
    .catch((error: unknown) => {
      const isFile = /can decode/.test(String(error));
      throw isFile ? new Error(`${file.name} is no video that this browser can decode.`) : error;
    });
  document.documentElement.dataset["decoder"] = decoder;
  const rate = (1000 * count) / (performance.now() - started);
  // Where another task took over, the status is that one's.
  if (running?.signal !== signal) return;
  say(`${file.name}: ${signal.aborted ? "stopped, " : ""}${count} frames analyzed, ${rate.toFixed(0)} a second.`);
}

function open(files: readonly File[]): void {
  if (!files.length) return;
  const film = files.find((file) => file.type.startsWith("video/"));
  void run((signal) => (film ? analyzeVideo(film, signal) : analyzePhotos(files, signal)));
}

function save(name: string, content: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

find("start").addEventListener("click", () => void run(watchCamera));
stopButton.addEventListener("click", () => running?.abort());
const input = find<HTMLInputElement>("files");
input.addEventListener("change", () => open([...(input.files ?? [])]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open([...(event.dataTransfer?.files ?? [])]);
});
addEventListener("paste", (event) => open([...(event.clipboardData?.files ?? [])]));
downloads[0].addEventListener("click", () => save("mien.csv", toCsv(results), "text/csv"));
downloads[1].addEventListener("click", () => save("mien.json", JSON.stringify({ results }), "application/json"));

// Offline use, and threads where the host does not send the headers for them.
if ("serviceWorker" in navigator && isSecureContext) {
  void navigator.serviceWorker.register("service-worker.js").then(async () => {
    await navigator.serviceWorker.ready;
    // Not under the hands of a person who has begun already.
    if (!crossOriginIsolated && !running && !sessionStorage.getItem("reloaded")) {
      sessionStorage.setItem("reloaded", "yes");
      location.reload();
    }
  }, () => undefined); // A page in another site's frame may not have one.
}
document.documentElement.dataset["isolated"] = String(crossOriginIsolated);
find("help").remove();
document.documentElement.dataset["ready"] = "yes";
