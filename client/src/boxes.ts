/** The boxes over the video of the live page: those of an old frame fade, and disappear. */

import { type Band, drawResult } from "./draw";
import type { FrameResult } from "./result";

/** Age of boxes, since their frame was taken, at which they fade and disappear. */
const STALE_MS = { faded: 500, gone: 2000 };

export class Boxes {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private latest: FrameResult | undefined;

  /** @param badge what labels leave free, while it is shown */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly badge: HTMLElement,
    private readonly view: () => { mirrored: boolean; landmarks: boolean },
  ) {}

  /**
   * @param ageMs time since the frame was taken
   * @param still the picture stands still, and its boxes with it
   */
  show(result: FrameResult, ageMs: number, still: boolean): void {
    this.hold();
    if (ageMs >= STALE_MS.gone) {
      this.clear();
      return;
    }
    this.latest = result;
    this.redraw();
    if (still) return;
    const fade = (): void => {
      this.canvas.classList.add("stale");
      this.timer = setTimeout(() => this.clear(), STALE_MS.gone - Math.max(ageMs, STALE_MS.faded));
    };
    if (ageMs >= STALE_MS.faded) fade();
    else this.timer = setTimeout(fade, STALE_MS.faded - ageMs);
  }

  redraw(): void {
    if (this.latest) drawResult(this.canvas, this.latest, { ...this.view(), taken: this.taken() });
  }

  /** Boxes that stay as they are. */
  hold(): void {
    clearTimeout(this.timer);
    this.canvas.classList.remove("stale");
  }

  clear(): void {
    this.hold();
    this.latest = undefined;
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  private taken(): Band[] {
    const { offsetLeft: left, offsetTop: top, offsetWidth, offsetHeight } = this.badge;
    return offsetWidth ? [{ left, right: left + offsetWidth, top, bottom: top + offsetHeight }] : [];
  }
}
