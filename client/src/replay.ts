/** Replays a recorded session: boxes and labels move as they did, over no picture at all. */

import { drawResult } from "./draw";
import { indexAt } from "./history";
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
  let atS = 0;
  let playing = false;
  let before = 0;

  const show = (): void => {
    const frame = frames[indexAt(frames, atS)];
    if (frame) drawResult(canvas, frame, { mirrored: false, landmarks: false });
    seek.value = String((1000 * atS) / endS);
    time.textContent = `${clock(atS)} of ${clock(endS)}`;
  };
  const step = (now: number): void => {
    if (!playing) return;
    atS = Math.min(endS, atS + (now - before) / 1000);
    before = now;
    show();
    if (atS >= endS) set(false);
    else requestAnimationFrame(step);
  };
  const set = (wanted: boolean): void => {
    playing = wanted;
    play.textContent = wanted ? "Pause" : "Replay";
    play.setAttribute("aria-pressed", String(wanted));
    if (!wanted) return;
    if (atS >= endS) atS = 0;
    before = performance.now();
    requestAnimationFrame(step);
  };
  play.addEventListener("click", () => set(!playing));
  seek.addEventListener("input", () => {
    atS = (Number(seek.value) / 1000) * endS;
    show();
  });
  show();
}

void main();
