/** The frames of a video file with their times, decoded where the browser can, otherwise by seeking. */

export interface FilmOptions {
  /** Frames a second; those between are skipped. */
  readonly samplesPerS: number;
  /** Frames are reduced to this width in pixels. */
  readonly maxWidth: number;
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

async function seek(file: Blob, { samplesPerS, maxWidth }: FilmOptions): Promise<Film> {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  const address = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error("expected a video that this browser can decode, got another file or codec"));
      video.src = address;
    });
    // A recording of a browser may not say how long it is.
    if (!Number.isFinite(video.duration)) throw new Error("expected a video with a duration, got one without");
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
          await new Promise((resolve, reject) => {
            video.onseeked = resolve;
            video.onerror = () => reject(new Error(`the video cannot be decoded at ${k / samplesPerS} s`));
            video.currentTime = k / samplesPerS;
          });
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
