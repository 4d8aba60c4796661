/** Analyzes frames on this device, by the library mien-web; only the results of recordings go to the server. */

import type * as library from "../mien-web/src/index";
import type { Command, Listener, Transport } from "./transport";
import type { FrameResult } from "./result";
import { ResultRecorder } from "./result_recorder";
import { t } from "./words";

/** Where the library and the networks are, from the page. */
export interface DeviceAddresses {
  readonly library: string;
  readonly runtime: string;
  readonly models: string;
}

const WIDTH = 640;

/**
 * Loads the library and its networks.
 *
 * @throws Error this browser cannot run them
 */
export async function loadMien({ library: address, runtime, models }: DeviceAddresses): Promise<library.Mien> {
  const { Mien } = (await import(/* @vite-ignore */ address)) as typeof library;
  return Mien.create({ assets: models, runtime });
}

let prepared: Promise<library.Mien> | undefined;

/** Loads what the next transport needs, while a person answers the browser's question about the camera. */
export function prepareMien(addresses: DeviceAddresses): void {
  prepared ??= loadMien(addresses);
  // The transport tells what fails.
  prepared.catch(() => undefined);
}

/** What was prepared, or else is loaded now. */
function preparedMien(addresses: DeviceAddresses): Promise<library.Mien> {
  const mien = prepared ?? loadMien(addresses);
  prepared = undefined;
  return mien;
}

export class DeviceTransport implements Transport {
  readonly name = t("this device");
  private mien: library.Mien | undefined;
  private frames: library.Frames | undefined;
  private closed = false;
  private landmarks = false;
  private readonly startedMs = performance.now();
  private readonly recorder: ResultRecorder;

  /** @param onUnavailable called once if this browser cannot run the networks */
  constructor(
    private readonly listener: Listener,
    addresses: DeviceAddresses,
    private readonly onUnavailable: (reason: string) => void,
  ) {
    this.recorder = new ResultRecorder((notice) => listener.onMessage(notice));
    void this.start(addresses);
  }

  get ready(): boolean {
    return this.frames !== undefined;
  }

  send(frame: Blob): void {
    void this.analyze(frame, (performance.now() - this.startedMs) / 1000);
  }

  sendFrame(frame: ImageBitmap): void {
    void this.analyze(frame, (performance.now() - this.startedMs) / 1000);
  }

  command(command: Command): void {
    if (command.type === "options") this.landmarks = command.landmarks ?? false;
    else if (command.type === "record") this.recorder.start(command.session_id);
    else void this.recorder.stop();
  }

  close(leaving = false): void {
    this.closed = true;
    this.frames = undefined;
    if (leaving) this.recorder.leave();
    else void this.recorder.stop();
    this.mien?.dispose();
  }

  private async start(addresses: DeviceAddresses): Promise<void> {
    this.listener.onState("connecting");
    try {
      this.mien = await preparedMien(addresses);
      if (this.closed) return this.mien.dispose();
      this.frames = await this.mien.open({ width: WIDTH });
      this.listener.onState("open");
    } catch (error) {
      if (!this.closed) this.onUnavailable(error instanceof Error ? error.message : String(error));
    }
  }

  private async analyze(image: Blob | ImageBitmap, timestampS: number): Promise<void> {
    let result: FrameResult | undefined;
    try {
      result = await this.frames?.push(image, timestampS, { landmarks: this.landmarks });
    } catch (error) {
      if (this.closed) return;
      const reason = error instanceof Error ? error.message : String(error);
      // A worker that ended does not come back; a frame that cannot be read is one of many.
      if (/running worker/.test(reason)) {
        this.close();
        this.onUnavailable(reason);
      } else this.listener.onMessage({ type: "error", error: { code: "image_unreadable", message: reason } });
      return;
    }
    if (!result || this.closed) return;
    this.recorder.add(result);
    this.listener.onMessage(result);
  }
}
