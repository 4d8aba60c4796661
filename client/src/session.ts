/** The live loop: sends the newest frame when the result of the previous one has arrived. */

import { type DeviceAddresses, DeviceTransport } from "./device";
import { proposedName } from "./naming";
import { QualityControl } from "./quality";
import { type FrameResult, isNotice, type Message, type Notice, serverMs } from "./result";
import { FrameGrabber } from "./source";
import { HttpTransport, type LinkState, SocketTransport, type Transport } from "./transport";

/** A frame as it was analyzed, whose pixels the boxes of its result are of. */
export type Picture = Blob | ImageBitmap;

export interface Hooks {
  /** @param picture the result's; the receiver releases it, see {@link release} */
  onResult(result: FrameResult, latencyMs: number, picture: Picture | undefined): void;
  onState(state: LinkState, transport: string): void;
  onNotice(notice: Notice): void;
  /** Called when a slow network requires smaller images. */
  onSlow(): void;
  /** Called when this browser cannot analyze frames itself; the session has ended. */
  onDeviceUnavailable(reason: string): void;
}

// After this time without a result, the next frame is sent.
const TIMEOUT_MS = 6000;
const KEEP_ALIVE_MS = 10_000;
/** How long a session that is closed waits for the end of its recording. */
const LAST_NOTICE_MS = 5000;
const MIN_INTERVAL_MS = 1000 / 30;

/** Sent frames without a result yet. Results arrive in the order of the frames. */
export class PendingFrames {
  private readonly frames: { readonly sentAt: number; readonly picture: Picture | undefined }[] = [];
  private timedOut = 0;

  /** Whether a result is expected. */
  get waiting(): boolean {
    return this.frames.length > this.timedOut;
  }

  sent(nowMs: number, picture?: Picture): void {
    this.frames.push({ sentAt: nowMs, picture });
  }

  /** @returns the frame that was sent, and the time since then, also for a frame that timed out */
  received(nowMs: number): { latencyMs: number; picture: Picture | undefined } {
    const { sentAt, picture } = this.frames.shift() ?? { sentAt: nowMs, picture: undefined };
    this.timedOut = Math.max(0, this.timedOut - 1);
    return { latencyMs: nowMs - sentAt, picture };
  }

  /** The next frame gets no result. */
  dropped(): void {
    release(this.received(0).picture);
  }

  /**
   * Stop waiting for late frames. Their results may still arrive.
   *
   * @returns whether any frame timed out
   */
  checkTimeout(nowMs: number, afterMs: number): boolean {
    const newest = this.frames.at(-1);
    if (!this.waiting || newest === undefined || nowMs - newest.sentAt <= afterMs) return false;
    this.timedOut = this.frames.length;
    return true;
  }

  clear(): void {
    for (const { picture } of this.frames) release(picture);
    this.frames.length = this.timedOut = 0;
  }
}

export class LiveSession {
  readonly quality = new QualityControl();
  /** Width of sent frames; null adapts it to the network. */
  fixedWidth: number | null = null;
  paused = false;
  private readonly grabber = new FrameGrabber();
  private transport: Transport;
  private landmarks = false;
  private recording = false;
  /** Whether a recording was ended, and nothing has said so yet. */
  private ending = false;
  private readonly pending = new PendingFrames();
  private sentAt = 0;
  private notBefore = 0;
  private running = true;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly hooks: Hooks,
    device: DeviceAddresses | null = null,
  ) {
    const listener = {
      onMessage: (message: Message) => this.onMessage(message),
      onState: (state: LinkState) => this.onState(state),
    };
    const connect = () =>
      new SocketTransport(listener, () => {
        this.transport = new HttpTransport(listener);
      });
    this.transport = device
      ? new DeviceTransport(listener, device, (reason) => this.hooks.onDeviceUnavailable(reason))
      : connect();
    void this.loop();
  }

  showLandmarks(enabled: boolean): void {
    this.landmarks = enabled;
    this.transport.command({ type: "options", landmarks: enabled });
  }

  /** @param sessionId a session to go on with after a lost connection */
  record(enabled: boolean, sessionId?: string): void {
    this.ending = this.recording && !enabled;
    this.recording = enabled;
    const session = sessionId === undefined ? { name: proposedName() } : { session_id: sessionId };
    this.transport.command(enabled ? { type: "record", ...session } : { type: "stop_recording" });
  }

  /** @param use whether action units of a person are measured from their present face */
  useAsNeutral(trackId: number, use: boolean): void {
    this.transport.command({ type: use ? "neutral" : "forget_neutral", track_id: trackId });
  }

  /** A command without effect, so that the server does not close a paused recording. */
  private keepAlive(now: number): void {
    if (!this.recording || now - this.sentAt < KEEP_ALIVE_MS || !this.transport.ready) return;
    this.sentAt = now;
    this.transport.command({ type: "record" });
  }

  /** @param leaving the page ends now; else the end of a recording is awaited, and reported */
  close(leaving = false): void {
    this.running = false;
    this.pending.clear();
    if (leaving || !this.ending) this.transport.close(leaving);
    else setTimeout(() => this.transport.close(), LAST_NOTICE_MS);
  }

  private async loop(): Promise<void> {
    while (this.running) {
      await nextFrame(this.video);
      const now = performance.now();
      if (this.hasNetwork && this.pending.checkTimeout(now, TIMEOUT_MS)) this.adapt(TIMEOUT_MS);
      if (this.paused) this.keepAlive(now);
      const due = now >= this.notBefore && now - this.sentAt >= MIN_INTERVAL_MS - 2;
      if (this.paused || this.pending.waiting || !due || !this.transport.ready) continue;
      const frame = await this.grab();
      if (!frame || !this.running || !this.transport.ready) {
        release(frame);
        continue;
      }
      this.sentAt = performance.now();
      this.pending.sent(this.sentAt, frame);
      if (frame instanceof Blob) this.transport.send(frame);
      else this.transport.sendFrame?.(frame);
    }
  }

  private async grab(): Promise<Picture | undefined> {
    if (this.transport.sendFrame) {
      if (!this.video.videoWidth || this.video.paused) return undefined;
      return createImageBitmap(this.video).catch(() => undefined);
    }
    const { width, jpeg } = this.fixedWidth
      ? { width: this.fixedWidth, jpeg: 0.8 }
      : this.quality.level;
    return (await this.grabber.grab(this.video, width, jpeg)) ?? undefined;
  }

  private onMessage(message: Message): void {
    const now = performance.now();
    if (isNotice(message)) {
      if (message.type === "busy") {
        this.pending.dropped();
        this.notBefore = now + Math.min(5000, message.retry_after_ms);
      } else if (message.type === "dropped") {
        for (let i = 0; i < message.frames; i++) this.pending.dropped();
      } else if (message.type === "error" && message.error.code === "image_unreadable") {
        this.pending.dropped();
      } else if (message.type === "recording" && message.state === "stopped") {
        this.ending = false;
        if (!this.running) this.transport.close();
      }
      this.hooks.onNotice(message);
      return;
    }
    if (!this.running) return;
    const { latencyMs, picture } = this.pending.received(now);
    this.adapt(latencyMs - serverMs(message));
    this.hooks.onResult(message, latencyMs, picture);
  }

  /** Where frames do not travel, each is answered, however late. */
  private get hasNetwork(): boolean {
    return !this.transport.sendFrame;
  }

  private adapt(networkMs: number): void {
    if (!this.hasNetwork) return;
    const before = this.quality.level.width;
    this.quality.observe(networkMs, performance.now());
    if (this.quality.level.width < before && this.fixedWidth === null) this.hooks.onSlow();
  }

  private onState(state: LinkState): void {
    if (!this.running) return;
    this.pending.clear();
    if (state === "open" && this.landmarks) this.showLandmarks(true);
    this.hooks.onState(state, this.transport?.name ?? "WebSocket");
  }
}

/** Free the memory of a picture that is used no more. */
export function release(picture: Picture | undefined): void {
  if (picture && "close" in picture) picture.close();
}

function nextFrame(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => {
    // Without a new frame (hidden tab, paused video) the loop must continue.
    const timer = setTimeout(resolve, 250);
    video.requestVideoFrameCallback?.(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
