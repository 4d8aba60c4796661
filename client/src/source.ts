/** Sources of frames: the camera or the sample clip. */

import { deniedHelp } from "./browser";
import { t } from "./words";

export type SourceProblem =
  | "insecure"
  | "unsupported"
  | "denied"
  | "missing"
  | "busy"
  | "ended"
  | "clip";

const MESSAGES: Record<Exclude<SourceProblem, "denied">, string> = {
  insecure: t("Browsers allow camera access only on secure pages. Use HTTPS, or http://localhost on the server itself."),
  unsupported: t("This browser does not support cameras. Use a current version of Firefox, Chrome, Edge or Safari."),
  missing: t("No camera found. Connect one, or play the sample clip."),
  busy: t("The camera is in use by another program. Close it, then start again."),
  ended: t("The camera was disconnected. Reconnect it, then start again."),
  clip: t("This browser cannot play the sample clip."),
};

export class SourceError extends Error {
  constructor(readonly problem: SourceProblem) {
    super(problem === "denied" ? deniedHelp(navigator) : MESSAGES[problem]);
  }
}

export function problemOf(error: unknown): SourceProblem {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "missing";
  return "busy";
}

/** Number of the newest source; what an earlier one opens late is closed again. */
let newest = 0;

/** @returns whether it plays; false where another source replaced it, or it was closed, before it was open */
export async function openCamera(video: HTMLVideoElement, deviceId: string, width: number): Promise<boolean> {
  if (!isSecureContext) throw new SourceError("insecure");
  if (!navigator.mediaDevices?.getUserMedia) throw new SourceError("unsupported");
  const source = replaceSource(video);
  // Whole frames: those of an upright camera would be cropped to a square.
  const size = { width: { ideal: width }, height: { ideal: (width * 3) / 4 }, resizeMode: "none" };
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: {
        ...size,
        ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
      },
    });
  } catch (error) {
    if (source !== newest) return false;
    throw new SourceError(problemOf(error));
  }
  if (source !== newest) {
    stopTracks(stream);
    return false;
  }
  video.loop = false;
  video.srcObject = stream;
  return play(video, source, "busy");
}

/** @returns as of {@link openCamera} */
export async function openClip(video: HTMLVideoElement, url: string): Promise<boolean> {
  const source = replaceSource(video);
  video.src = url;
  video.loop = true;
  return play(video, source, "clip");
}

export function closeSource(video: HTMLVideoElement): void {
  replaceSource(video);
}

function replaceSource(video: HTMLVideoElement): number {
  stopTracks(video.srcObject);
  video.pause();
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
  return ++newest;
}

function stopTracks(stream: unknown): void {
  if (stream instanceof MediaStream) for (const track of stream.getTracks()) track.stop();
}

async function play(video: HTMLVideoElement, source: number, problem: SourceProblem): Promise<boolean> {
  try {
    await video.play();
  } catch (error) {
    // A pause interrupts it, too.
    const interrupted = error instanceof DOMException && error.name === "AbortError";
    if (source === newest && !interrupted) throw new SourceError(problem);
  }
  return source === newest;
}

export async function listCameras(): Promise<MediaDeviceInfo[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "videoinput");
}

/** Encodes the current frame of a video as JPEG. */
export class FrameGrabber {
  private readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d", { alpha: false });

  async grab(video: HTMLVideoElement, width: number, quality: number): Promise<Blob | null> {
    if (!this.context || !video.videoWidth) return null;
    const scale = Math.min(1, width / video.videoWidth);
    this.canvas.width = Math.round(video.videoWidth * scale);
    this.canvas.height = Math.round(video.videoHeight * scale);
    this.context.drawImage(video, 0, 0, this.canvas.width, this.canvas.height);
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", quality));
  }
}
