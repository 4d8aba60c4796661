/** The frames of a video file with their times, decoded where the browser can, otherwise by seeking. */

export interface FilmOptions {
  /** Frames a second; those between are skipped. */
  readonly samplesPerS: number;
  /** Frames are reduced to this width in pixels. */
  readonly maxWidth: number;
  /** Ends the frames, also while one is waited for. */
  readonly signal?: AbortSignal | undefined;
}

export interface Film {
  readonly decoder: "webcodecs" | "seeking";
  readonly durationS: number;
  frames(): AsyncGenerator<{ readonly image: ImageBitmap; readonly timestampS: number }>;
}

/**
 * Opens a video file.
 *
 * @param decoder `"seeking"` does without WebCodecs
 * @throws Error the browser cannot decode it
 */
export async function openFilm(file: Blob, options: FilmOptions, decoder: "auto" | "seeking" = "auto"): Promise<Film> {
  if (decoder === "auto" && "VideoDecoder" in globalThis) {
    const { decode } = await import("./decoder");
    const film = await decode(file, options).catch(() => null);
    if (film) return film;
  }
  return seek(file, options);
}

/** Waits for an event of a video; returns at once when the signal is aborted. */
function waitFor(video: HTMLVideoElement, event: string, problem: string, signal?: AbortSignal): Promise<void> {
  const done = new AbortController();
  const options = { signal: done.signal };
  return new Promise<void>((resolve, reject) => {
    video.addEventListener(event, () => resolve(), options);
    video.addEventListener("error", () => reject(new Error(problem)), options);
    signal?.addEventListener("abort", () => resolve(), options);
    if (signal?.aborted) resolve();
  }).finally(() => done.abort());
}

async function seek(file: Blob, { samplesPerS, maxWidth, signal }: FilmOptions): Promise<Film> {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  const address = URL.createObjectURL(file);
  try {
    video.src = address;
    await waitFor(video, "loadeddata", "expected a video that this browser can decode, got another file or codec", signal);
    // A recording of a browser may not say how long it is.
    if (!signal?.aborted && !Number.isFinite(video.duration)) throw new Error("expected a video with a duration, got one without");
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
  return {
    decoder: "seeking",
    durationS: video.duration,
    async *frames() {
      try {
        const resizeWidth = Math.min(maxWidth, video.videoWidth);
        for (let k = 0; k / samplesPerS < video.duration; k++) {
          video.currentTime = k / samplesPerS;
          await waitFor(video, "seeked", `the video cannot be decoded at ${k / samplesPerS} s`, signal);
          if (signal?.aborted) return;
          const image = await createImageBitmap(video, { resizeWidth, resizeQuality: "medium" });
          yield { image, timestampS: k / samplesPerS };
        }
      } finally {
        URL.revokeObjectURL(address);
        video.removeAttribute("src");
      }
    },
  };
}
