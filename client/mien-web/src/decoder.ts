/** Frames of a video file by WebCodecs; a file of its own, loaded for videos only. */

import { BlobSource, Input, MATROSKA, MP4, QTFF, VideoSampleSink, WEBM } from "mediabunny";
import type { FilmOptions, Film } from "./film";

/** Opens a file; null where its format is not known or its codec cannot be decoded here. */
export async function decode(file: Blob, { samplesPerS, maxWidth }: FilmOptions): Promise<Film | null> {
  const input = new Input({ formats: [MP4, QTFF, WEBM, MATROSKA], source: new BlobSource(file) });
  if (!(await input.canRead())) return null;
  const track = await input.getPrimaryVideoTrack();
  if (!track || !(await track.canDecode())) return null;
  const durationS = await track.computeDuration();
  return {
    decoder: "webcodecs",
    durationS,
    async *frames() {
      let dueS = -Infinity;
      for await (const sample of new VideoSampleSink(track).samples()) {
        try {
          // Half a millisecond of tolerance for rounded timestamps.
          if (sample.timestamp < dueS - 5e-4) continue;
          dueS = Math.max(dueS + 1 / samplesPerS, sample.timestamp);
          const scale = Math.min(1, maxWidth / sample.displayWidth);
          const canvas = new OffscreenCanvas(Math.round(sample.displayWidth * scale), Math.round(sample.displayHeight * scale));
          const context = canvas.getContext("2d")!;
          context.imageSmoothingQuality = "medium";
          // Upright, and with square pixels.
          sample.draw(context, 0, 0, canvas.width, canvas.height);
          yield { image: canvas.transferToImageBitmap(), timestampS: sample.timestamp };
        } finally {
          sample.close();
        }
      }
    },
  };
}
