/** Replays a recorded session, without the video, which is not stored; linked to its timelines and markers. */

import { drawResult } from "./draw";
import { nearest } from "./history";
import { Markers } from "./markers";
import { Moments, type Player } from "./moments";
import { clock, find } from "./page";
import type { FrameResult } from "./result";
import { t } from "./words";

class Replay implements Player {
  private atS = 0;
  private playing = false;
  private previousMs = 0;
  private readonly times: number[];
  private readonly endS: number;
  private readonly canvas: HTMLCanvasElement;
  private readonly play: HTMLButtonElement;
  private readonly seek: HTMLInputElement;
  private readonly time: HTMLElement;
  private callback: (seconds: number) => void = () => undefined;

  constructor(
    root: HTMLElement,
    private readonly frames: readonly FrameResult[],
  ) {
    this.canvas = find("[data-replay-canvas]", root);
    this.play = find("[data-play]", root);
    this.seek = find("[data-seek]", root);
    this.time = find("[data-clock]", root);
    this.times = frames.map((frame) => frame.timestamp_s ?? 0);
    this.endS = this.times.at(-1) ?? 0;
    this.play.addEventListener("click", () => this.setPlaying(!this.playing));
    this.seek.addEventListener("input", () => this.show((Number(this.seek.value) / 1000) * this.endS));
    this.show(0);
  }

  go(seconds: number): void {
    this.show(seconds);
  }

  follow(show: (seconds: number) => void): void {
    this.callback = show;
  }

  private show(seconds: number): void {
    this.atS = seconds;
    const frame = this.frames[nearest(this.times, seconds)];
    if (frame) drawResult(this.canvas, frame, { mirrored: false, landmarks: false });
    this.seek.value = String((1000 * seconds) / this.endS);
    this.time.textContent = `${clock(seconds)} / ${clock(this.endS)}`;
    this.callback(seconds);
  }

  private step(now: number): void {
    if (!this.playing) return;
    this.show(Math.min(this.endS, this.atS + (now - this.previousMs) / 1000));
    this.previousMs = now;
    if (this.atS >= this.endS) this.setPlaying(false);
    else requestAnimationFrame((next) => this.step(next));
  }

  private setPlaying(requested: boolean): void {
    this.playing = requested;
    this.play.textContent = requested ? t("Pause") : t("Play");
    this.play.setAttribute("aria-pressed", String(requested));
    if (!requested) return;
    if (this.atS >= this.endS) this.atS = 0;
    this.previousMs = performance.now();
    requestAnimationFrame((now) => this.step(now));
  }
}

async function main(): Promise<void> {
  document.documentElement.classList.add("js");
  const report = find("[data-report]");
  const root = report.querySelector<HTMLElement>("[data-replay]");
  const response = root && (await fetch(root.dataset["replay"] ?? "").catch(() => null));
  const { frames } = response?.ok ? ((await response.json()) as { frames: FrameResult[] }) : { frames: [] };
  const player = root && frames.at(-1)?.timestamp_s ? new Replay(root, frames) : undefined;
  if (root && !player) root.hidden = true;
  new Markers(report, new Moments(report, player));
}

void main();
