/** Timelines of a recording linked to its video or replay in both directions: go to a moment, follow, zoom. */

import { clock, find } from "./page";
import { t } from "./words";

const WIDTH = 1000;
const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };

/** What plays a recording, in seconds of the recording. */
export interface Player {
  go(seconds: number): void;
  /** Calls back at every new moment. */
  follow(show: (seconds: number) => void): void;
}

/** @param startS the time of the video's first frame in the recording */
export function videoPlayer(video: HTMLVideoElement, startS: number): Player {
  return {
    go(seconds) {
      video.currentTime = Math.max(0, seconds - startS);
    },
    follow(show) {
      for (const type of ["timeupdate", "seeked"]) video.addEventListener(type, () => show(video.currentTime + startS));
    },
  };
}

/** Sends the event `moment` with the seconds to its root when a person chooses a moment. */
export class Moments {
  private fromS = 0;
  private toS = 0;
  private endS = 0;
  private atS = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly player?: Player,
  ) {
    player?.follow((seconds) => this.show(seconds));
    find("[data-zoom-out]", root).addEventListener("click", () => this.zoom(0, this.endS));
    root.addEventListener("click", ({ target }) => {
      const at = (target as Element).closest<HTMLElement>("[data-at]")?.dataset["at"];
      if (at !== undefined) this.go(Number(at));
    });
    this.connect();
  }

  /** Connect timelines that are new on the page; a chosen part stays chosen. */
  connect(): void {
    const whole = this.fromS === 0 && this.toS === this.endS;
    for (const course of this.courses()) {
      this.endS = Number(course.dataset["end"]);
      course.tabIndex = 0;
      course.setAttribute("role", "slider");
      course.setAttribute("aria-label", course.dataset["name"] ?? t("Timeline of person %(id)s", { id: course.dataset["person"] ?? "" }));
      course.setAttribute("aria-valuemin", "0");
      course.setAttribute("aria-valuemax", this.endS.toFixed(1));
      this.listen(course);
    }
    this.zoom(whole ? 0 : this.fromS, whole ? this.endS : this.toS);
  }

  private courses(): NodeListOf<HTMLElement> {
    return this.root.querySelectorAll<HTMLElement>(".course");
  }

  private listen(course: HTMLElement): void {
    const seconds = ({ clientX }: PointerEvent): number => {
      const { left, width } = course.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (clientX - left) / width));
      return this.fromS + share * (this.toS - this.fromS);
    };
    let pressedS: number | undefined;
    course.addEventListener("pointerdown", (event) => {
      pressedS = seconds(event);
      course.setPointerCapture(event.pointerId);
    });
    course.addEventListener("pointermove", (event) => {
      if (pressedS !== undefined) this.mark(course, pressedS, seconds(event));
    });
    course.addEventListener("pointerup", (event) => {
      if (pressedS === undefined) return;
      const [from, to] = [pressedS, seconds(event)].sort((a, b) => a - b) as [number, number];
      pressedS = undefined;
      course.querySelector(".brush")?.remove();
      // A click moves a little, too.
      if (to - from > 0.02 * (this.toS - this.fromS)) this.zoom(from, to);
      else this.go(to);
    });
    course.addEventListener("pointercancel", () => {
      pressedS = undefined;
      course.querySelector(".brush")?.remove();
    });
    course.addEventListener("dblclick", () => this.zoom(0, this.endS));
    course.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (step !== undefined) this.go(this.atS + (step * (this.toS - this.fromS)) / 100);
      else if (event.key === "Home") this.go(this.fromS);
      else if (event.key === "End") this.go(this.toS);
      else if (event.key === "Escape") this.zoom(0, this.endS);
      else return;
      event.preventDefault();
    });
  }

  private go(seconds: number): void {
    const at = Math.max(0, Math.min(this.endS, seconds));
    this.player?.go(at);
    this.show(at);
    this.root.dispatchEvent(new CustomEvent("moment", { detail: at }));
  }

  /** Show the chosen part of what is new on the timelines. */
  refresh(): void {
    this.zoom(this.fromS, this.toS);
  }

  private share(seconds: number): number {
    return (seconds - this.fromS) / Math.max(1e-6, this.toS - this.fromS);
  }

  private show(seconds: number): void {
    this.atS = seconds;
    const share = this.share(seconds);
    for (const course of this.courses()) {
      const cursor = find(".cursor", course);
      cursor.hidden = share < 0 || share > 1;
      cursor.style.insetInlineStart = `${100 * share}%`;
      course.setAttribute("aria-valuenow", seconds.toFixed(1));
      course.setAttribute("aria-valuetext", clock(seconds));
    }
  }

  private mark(course: HTMLElement, from: number, to: number): void {
    const brush = course.querySelector<HTMLElement>(".brush") ?? course.appendChild(Object.assign(document.createElement("i"), { className: "brush" }));
    const [low, high] = [this.share(Math.min(from, to)), this.share(Math.max(from, to))];
    brush.style.insetInlineStart = `${100 * low}%`;
    brush.style.width = `${100 * (high - low)}%`;
  }

  private zoom(from: number, to: number): void {
    [this.fromS, this.toS] = [from, to];
    const scale = WIDTH / Math.max(1e-6, this.endS);
    // Ticks that differ from each other.
    const digits = to - from < 1 ? 2 : to - from < 40 ? 1 : 0;
    for (const course of this.courses()) {
      for (const drawn of course.querySelectorAll("svg")) {
        drawn.setAttribute("viewBox", `${from * scale} 0 ${Math.max(1e-3, (to - from) * scale)} ${drawn.viewBox.baseVal.height}`);
      }
      course.parentElement?.querySelectorAll(".axis span").forEach((tick, k) => {
        tick.textContent = clock(from + (k * (to - from)) / 4, digits);
      });
    }
    const part = from > 0 || to < this.endS;
    find("[data-zoom]", this.root).hidden = !part;
    find("[data-readout]", this.root).textContent = part ? t("%(from)s to %(to)s", { from: clock(from, digits), to: clock(to, digits) }) : "";
    this.show(this.atS);
  }
}
