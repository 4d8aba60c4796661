/** The video page: a file is uploaded for a job of the server, or analyzed on this device, which stores a session. */

import type * as library from "../mien-web/src/index";
import { loadMien } from "./device";
import { clock, deviceAddresses, find } from "./page";
import type { Notice } from "./result";
import { ResultRecorder } from "./result_recorder";
import { problemText, t } from "./words";

interface Created {
  id?: string;
  error?: { code: string; message: string };
}

// An upload of which nothing arrives for so long is over; browsers would wait for many minutes.
const STALLED_MS = 45_000;

const FAILED: Record<number, string> = {
  413: t("This video is too large for the server. Cut it, or make it smaller."),
  502: t("The server does not respond. Try again in a moment."),
  503: t("The server is busy. Try again in a moment."),
  504: t("The server does not respond. Try again in a moment."),
};

/** A proxy may answer with a page of its own in place of JSON. */
function parse(text: string): Created {
  try {
    return JSON.parse(text) as Created;
  } catch {
    return {};
  }
}

/**
 * Uploads a video with the options of the form.
 *
 * @returns the address of its job
 * @throws Error with words for the visitor
 */
export function uploadVideo(video: File, form: HTMLFormElement, bar: HTMLProgressElement): Promise<string> {
  const option = (name: string) => find<HTMLInputElement>(`input[name="${name}"]`, form);
  const data = new FormData();
  data.set("video", video);
  data.set("every", option("every").value);
  data.set("annotate", String(option("annotate").checked));
  data.set("blur_faces", String(option("blur_faces").checked));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stalled: ReturnType<typeof setTimeout> | undefined;
    const wait = (): void => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_MS);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = total ? loaded / total : 0;
      wait();
    };
    request.upload.onload = () => clearTimeout(stalled);
    request.onload = () => {
      const created = parse(request.responseText);
      if (created.id) resolve(`/jobs/${created.id}`);
      else reject(new Error((created.error && problemText(created.error)) || (FAILED[request.status] ?? t("Upload failed. Try again."))));
    };
    request.onerror = request.onabort = () => reject(new Error(t("Server unreachable. Try again.")));
    request.onloadend = () => clearTimeout(stalled);
    request.open("POST", "/api/v1/videos");
    request.send(data);
    wait();
  });
}

let mien: library.Mien | undefined;

/**
 * Analyzes a video on this device; only its results are sent, as a session.
 *
 * @param signal ends it; what was analyzed until then is kept
 * @returns the address of the session
 * @throws Error with words for the visitor
 */
export async function analyzeVideo(
  video: File,
  form: HTMLFormElement,
  onProgress: (share: number, text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  let session = "";
  let problem = "";
  const recorder = new ResultRecorder((notice: Notice) => {
    if (notice.type === "error") problem = problemText(notice.error);
    else if (notice.type !== "recording") return;
    else if (notice.state === "started") session = notice.session_id;
    else if (!notice.complete) {
      problem = session ? t("Some results could not be stored. The others are in your sessions.") : t("Server unreachable. Try again.");
    }
  }, false);
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  try {
    mien ??= await loadMien(deviceAddresses(form));
    let begun = false;
    await mien.film(video, {
      signal: ended,
      onResult: (result) => {
        if (!begun) recorder.start(undefined, video.name);
        begun = true;
        recorder.add({ ...result, source: video.name });
        // Where nothing can be stored, there is nothing to wait for.
        if (problem) stop.abort();
      },
      onProgress: (doneS, durationS) =>
        onProgress(doneS / durationS, t("%(done)s of %(length)s min", { done: clock(doneS), length: clock(durationS) })),
    });
  } catch (error) {
    console.warn(`mien: ${error instanceof Error ? error.message : String(error)}`);
    mien?.dispose();
    mien = undefined;
    problem ||= t("This browser cannot analyze %(name)s itself. Choose the server, which reads more formats.", { name: video.name });
  }
  await recorder.stop();
  if (problem) throw new Error(problem);
  return session ? `/sessions/${session}` : location.pathname;
}
