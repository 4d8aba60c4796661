/** Replays a recorded session: boxes and labels without the video, which is not stored. */

import { drawResult } from "./draw";
import { nearest } from "./history";
import { clock, find } from "./page";
import type { FrameResult } from "./result";

const root = find("[data-replay]");
const canvas = find<HTMLCanvasElement>("[data-replay-canvas]", root);
const play = find<HTMLButtonElement>("[data-play]", root);
const seek = find<HTMLInputElement>("[data-seek]", root);
const time = find("[data-clock]", root);

async function main(): Promise<void> {
  const response = await fetch(root.dataset["replay"] ?? "");
  if (!response.ok) return;
  const { frames } = (await response.json()) as { frames: FrameResult[] };
  const first = frames[0];
  const endS = frames.at(-1)?.timestamp_s ?? 0;
  if (!first || !endS) return;
  root.hidden = false;
  canvas.parentElement?.style.setProperty("aspect-ratio", first.image_size_wh.join(" / "));
  const times = frames.map((frame) => frame.timestamp_s ?? 0);
  let atS = 0;
  let playing = false;
  let previousMs = 0;

  const show = (): void => {
    const frame = frames[nearest(times, atS)];
    if (frame) drawResult(canvas, frame, { mirrored: false, landmarks: false });
    seek.value = String((1000 * atS) / endS);
    time.textContent = `${clock(atS)} / ${clock(endS)}`;
  };
  const step = (now: number): void => {
    if (!playing) return;
    atS = Math.min(endS, atS + (now - previousMs) / 1000);
    previousMs = now;
    show();
    if (atS >= endS) setPlaying(false);
    else requestAnimationFrame(step);
  };
  const setPlaying = (requested: boolean): void => {
    playing = requested;
    play.textContent = requested ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(requested));
    if (!requested) return;
    if (atS >= endS) atS = 0;
    previousMs = performance.now();
    requestAnimationFrame(step);
  };
  play.addEventListener("click", () => setPlaying(!playing));
  seek.addEventListener("input", () => {
    atS = (Number(seek.value) / 1000) * endS;
    show();
  });
  show();
}

void main();
