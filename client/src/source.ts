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

export async function openCamera(
  video: HTMLVideoElement,
  deviceId: string,
  width: number,
): Promise<MediaStream> {
  if (!isSecureContext) throw new SourceError("insecure");
  if (!navigator.mediaDevices?.getUserMedia) throw new SourceError("unsupported");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: {
        width: { ideal: width },
        height: { ideal: (width * 3) / 4 },
        ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
      },
    });
  } catch (error) {
    throw new SourceError(problemOf(error));
  }
  video.removeAttribute("src");
  video.loop = false;
  video.srcObject = stream;
  await video.play();
  return stream;
}

export async function openClip(video: HTMLVideoElement, url: string): Promise<void> {
  video.srcObject = null;
  video.src = url;
  video.loop = true;
  try {
    await video.play();
  } catch {
    throw new SourceError("clip");
  }
}

export function closeSource(video: HTMLVideoElement): void {
  const stream = video.srcObject;
  if (stream instanceof MediaStream) for (const track of stream.getTracks()) track.stop();
  video.pause();
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
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
