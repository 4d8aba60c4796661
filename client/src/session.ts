/** The live loop: one picture in flight, the newest wins, and what the answers say is shown. */

import { Flight } from "./flight";
import { QualityControl } from "./quality";
import { type Answer, type FrameResult, isNotice, serverMs } from "./result";
import { Grabber } from "./source";
import { HttpTransport, type LinkState, SocketTransport, type Transport } from "./transport";

export interface Hooks {
  onResult(result: FrameResult, latencyMs: number): void;
  onState(state: LinkState, transport: string): void;
  onNotice(answer: Exclude<Answer, FrameResult>): void;
  /** The network carries less: smaller pictures are sent from now on. */
  onSlow(): void;
}

// Without an answer for so long, the picture is given up and the next one is sent.
const GIVE_UP_MS = 6000;
const FASTEST_MS = 1000 / 30;

export class LiveSession {
  readonly quality = new QualityControl();
  /** Frames are sent this wide; null adapts to the network. */
  fixedWidth: number | null = null;
  paused = false;
  private readonly grabber = new Grabber();
  private transport: Transport;
  private landmarks = false;
  private readonly flight = new Flight();
  private sentAt = 0;
  private notBefore = 0;
  private running = true;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly hooks: Hooks,
  ) {
    const listener = {
      onAnswer: (answer: Answer) => this.take(answer),
      onState: (state: LinkState) => this.changed(state),
    };
    this.transport = new SocketTransport(listener, () => {
      this.transport = new HttpTransport(listener);
    });
    void this.loop();
  }

  showLandmarks(wanted: boolean): void {
    this.landmarks = wanted;
    this.transport.command({ type: "options", landmarks: wanted });
  }

  record(wanted: boolean): void {
    this.transport.command({ type: wanted ? "record" : "stop_recording" });
  }

  close(): void {
    this.running = false;
    this.transport.close();
  }

  private async loop(): Promise<void> {
    while (this.running) {
      await nextPicture(this.video);
      const now = performance.now();
      if (this.flight.giveUp(now, GIVE_UP_MS)) this.adapt(GIVE_UP_MS);
      const due = now >= this.notBefore && now - this.sentAt >= FASTEST_MS - 2;
      if (this.paused || this.flight.busy || !due || !this.transport.ready) continue;
      const { width, jpeg } = this.fixedWidth
        ? { width: this.fixedWidth, jpeg: 0.8 }
        : this.quality.level;
      const picture = await this.grabber.grab(this.video, width, jpeg);
      if (!picture || !this.running || !this.transport.ready) continue;
      this.sentAt = performance.now();
      this.flight.depart(this.sentAt);
      this.transport.send(picture);
    }
  }

  private take(answer: Answer): void {
    const now = performance.now();
    if (isNotice(answer)) {
      if (answer.type === "busy") {
        this.flight.arrive(now);
        this.notBefore = now + Math.min(5000, answer.retry_after_ms);
      } else if (answer.type === "dropped") {
        for (let i = 0; i < answer.frames; i++) this.flight.arrive(now);
      } else if (answer.type === "error" && answer.error.code === "image_unreadable") {
        this.flight.arrive(now);
      }
      this.hooks.onNotice(answer);
      return;
    }
    const latencyMs = this.flight.arrive(now);
    this.adapt(latencyMs - serverMs(answer));
    this.hooks.onResult(answer, latencyMs);
  }

  private adapt(networkMs: number): void {
    const before = this.quality.level.width;
    this.quality.observe(networkMs, performance.now());
    if (this.quality.level.width < before && this.fixedWidth === null) this.hooks.onSlow();
  }

  private changed(state: LinkState): void {
    this.flight.clear();
    if (state === "open" && this.landmarks) this.showLandmarks(true);
    this.hooks.onState(state, this.transport?.name ?? "WebSocket");
  }
}

function nextPicture(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => {
    // A picture that never comes (a hidden tab, a paused video) must not end the loop.
    const timer = setTimeout(resolve, 250);
    video.requestVideoFrameCallback?.(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
