/** The job page: polls the job, shows timelines that grow, and links them to the video at the end. */

import { Markers } from "./markers";
import { Moments, videoPlayer } from "./moments";
import { find, SERVER_UNREACHABLE } from "./page";
import { percent, t, tn, word } from "./words";

interface Job {
  state: string;
  progress: number;
  frames_done: number;
}

const card = find("[data-job]");
const bar = card.querySelector<HTMLProgressElement>("[data-progress]");
const badge = find("[data-state]", card);
const status = find("[data-progress-text]", card);

const startedMs = performance.now();
let firstProgress: number | undefined;

/** The time left, from the progress since the page was opened; empty until that says something. */
function timeLeft(progress: number): string {
  firstProgress ??= progress;
  const seconds = (performance.now() - startedMs) / 1000;
  if (seconds < 3 || progress - firstProgress < 0.02) return "";
  const left = (seconds * (1 - progress)) / (progress - firstProgress);
  return left < 60 ? t(", less than a minute left") : t(", about %(minutes)s min left", { minutes: Math.round(left / 60) });
}

document.documentElement.classList.add("js");
const report = document.querySelector<HTMLElement>("[data-report]");
const timelines = report?.querySelector<HTMLElement>("[data-timelines]");
const video = report?.querySelector("video");
// The annotated video begins with the first analyzed frame.
const moments = report ? new Moments(report, video ? videoPlayer(video, Number(report.dataset["start"])) : undefined) : undefined;
const markers = report && moments ? new Markers(report, moments) : undefined;

/** Show what was analyzed so far. */
async function grow(): Promise<void> {
  if (!timelines) return;
  const response = await fetch(timelines.dataset["timelines"] ?? "").catch(() => null);
  const markup = response?.ok ? await response.text() : "";
  // Not under the hands of someone who uses it.
  if (!markup.trim() || timelines.matches(":active, :focus-within") || timelines.querySelector("details[open]")) return;
  timelines.innerHTML = markup;
  moments?.connect();
  markers?.draw();
}

async function poll(): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let response: Response;
    try {
      response = await fetch(card.dataset["job"] ?? "");
    } catch {
      status.textContent = SERVER_UNREACHABLE;
      continue;
    }
    if (response.status === 404) break;
    if (!response.ok) continue;
    const job = (await response.json()) as Job;
    badge.textContent = word(job.state);
    if (job.state !== "queued" && job.state !== "running") break;
    if (bar) bar.value = job.progress;
    if (job.state === "running") await grow();
    status.textContent = job.state === "queued"
      ? t("Waiting in the queue")
      : `${percent(job.progress)}${report ? `, ${tn("%(num)s frame", "%(num)s frames", job.frames_done)}` : ""}${timeLeft(job.progress)}`;
  }
  location.reload();
}

if (bar) void poll();
