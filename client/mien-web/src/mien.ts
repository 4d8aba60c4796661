/** The library's entry: faces and their apparent expressions, computed on the device. */

import type { AnalyzeOptions } from "./analyzer";
import { MAX_MEGAPIXELS } from "./constants";
import type { FrameResult } from "./documents";
import { openFilm, type Film } from "./film";
import type { Prior } from "./priors";
import type { Call, Reply, Request } from "./protocol";
import type { StreamOptions } from "./stream";

/** What mien could not do, with what it needs. */
export class MienError extends Error {
  override name = "MienError";
}

export interface CreateOptions {
  /** Address of the folder with the models, for example `/mien/models/`. */
  readonly assets: string | URL;
  /** Address of the folder with onnxruntime's WebAssembly files; by default `runtime/` in `assets`. */
  readonly runtime?: string | URL;
  /** `"auto"` and `"wasm"` run in WebAssembly, with threads where the page is cross-origin isolated. */
  readonly backend?: "auto" | "wasm";
  /** Name of the expression model in `assets`. */
  readonly model?: string;
  readonly prior?: Prior;
  /** Detections with a lower score are dropped, in [0, 1]. */
  readonly minScore?: number;
  /** Detections whose landmarks have a lower presence are dropped, in [0, 1]. */
  readonly minPresence?: number;
  /** Threads of WebAssembly; by default up to four. */
  readonly threads?: number;
}

export type ImageSource = HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement | ImageBitmap | ImageData | Blob;

export interface WatchOptions extends StreamOptions {
  onResult(result: FrameResult): void;
  /** A frame that could not be analyzed; the stream goes on. */
  onError?(error: MienError): void;
  /** Ends the stream. */
  readonly signal?: AbortSignal;
  /** Frames are reduced to this width in pixels; by default 640. */
  readonly width?: number;
}

export interface FilmOptions extends StreamOptions {
  /** @param image the frame that was analyzed, until the call returns */
  onResult(result: FrameResult, image: ImageBitmap): void;
  /** Called after each frame with the time that is done and the length of the video. */
  onProgress?(doneS: number, durationS: number): void;
  /** Ends the analysis after the frame under way. */
  readonly signal?: AbortSignal;
  /** Frames a second; by default 15. */
  readonly samplesPerS?: number;
  /** Frames are reduced to this width in pixels; by default 640. */
  readonly width?: number;
  /** `"seeking"` does without WebCodecs, for comparison. */
  readonly decoder?: "auto" | "seeking";
}

const SAMPLES_PER_S = 15;
const STREAM_WIDTH = 640;
const MAX_THREADS = 4;
/** A module with one function that returns the bit counts of a splat: valid only where SIMD is. */
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/**
 * Analyzes images and streams in a worker.
 *
 *     const mien = await Mien.create({ assets: "/mien/models/" });
 *     const result = await mien.analyze(document.querySelector("img"));
 *     mien.dispose();
 */
export class Mien {
  private readonly waiting = new Map<number, { resolve(result: FrameResult | null): void; reject(error: MienError): void }>();
  private nextId = 1;
  private failure: MienError | undefined;

  private constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const call = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("error" in data) call?.reject(new MienError(data.error.message));
      else call?.resolve(data.result);
    };
    worker.onerror = (event) => this.fail(`the worker stopped: ${event.message || "it could not be loaded"}`);
  }

  /**
   * Loads the models.
   *
   * @throws MienError WebAssembly, a worker or a model is not available
   */
  static async create(options: CreateOptions): Promise<Mien> {
    if (typeof WebAssembly === "undefined") throw new MienError("expected WebAssembly, got a browser without it; use a current browser");
    if (typeof OffscreenCanvas === "undefined") throw new MienError("expected OffscreenCanvas, got a browser without it; use a current browser");
    if (!WebAssembly.validate(SIMD)) throw new MienError("expected WebAssembly with SIMD, got a browser without it; use a current browser");
    const { assets, runtime, threads, backend = "auto", ...rest } = options;
    if (!["auto", "wasm"].includes(backend))
      throw new MienError(`expected the backend "auto" or "wasm", got "${backend}"; both run in WebAssembly, WebGPU is not included`);
    const folder = asFolder(new URL(assets, location.href));
    const mien = new Mien(new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mien" }));
    try {
      await mien.call({
        type: "create",
        options: {
          ...rest,
          assets: folder,
          runtime: runtime ? asFolder(new URL(runtime, location.href)) : new URL("runtime/", folder).href,
          threads: threads ?? defaultThreads(),
        },
      });
    } catch (error) {
      mien.dispose();
      throw error;
    }
    return mien;
  }

  /** Faces of a still image of at most 100 megapixels, from left to right. */
  async analyze(source: ImageSource, options: AnalyzeOptions = {}): Promise<FrameResult> {
    const image = await bitmapOf(source);
    const { width, height } = image;
    if (width * height > MAX_MEGAPIXELS * 1e6) {
      image.close();
      throw new MienError(`expected at most ${MAX_MEGAPIXELS} megapixels, got ${width} x ${height} pixels; make the image smaller`);
    }
    return (await this.call({ type: "analyze", image, options }, [image])) as FrameResult;
  }

  /**
   * Follows the faces of a video or a camera until it ends or `signal` is aborted.
   *
   * Frames that arrive while one is being analyzed are dropped, so that results never lag.
   */
  async stream(source: HTMLVideoElement | MediaStream, options: WatchOptions): Promise<void> {
    const video = source instanceof MediaStream ? await playing(source) : source;
    const frames = await this.open(options);
    const started = performance.now();
    try {
      while (!options.signal?.aborted && !video.ended) {
        await nextFrame(video, options.signal);
        if (options.signal?.aborted) break;
        if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !video.videoWidth) continue;
        const timestampS = (performance.now() - started) / 1000;
        try {
          options.onResult(await frames.push(video, timestampS));
        } catch (error) {
          const known = error instanceof MienError ? error : new MienError(String(error));
          if (this.failure) throw this.failure;
          options.onError?.(known);
        }
      }
    } finally {
      frames.close();
      if (source instanceof MediaStream) video.srcObject = null;
    }
  }

  /**
   * Analyzes a video file from its first frame to its last, none dropped.
   *
   * WebCodecs decodes it, with the times that the file has; what it cannot decode is played by seeking, at multiples of
   * the sampling interval.
   *
   * @returns how it was decoded
   * @throws MienError the browser cannot decode it
   */
  async film(file: Blob, options: FilmOptions): Promise<Film["decoder"]> {
    const { signal, width = STREAM_WIDTH, samplesPerS = SAMPLES_PER_S } = options;
    let film: Film;
    try {
      film = await openFilm(file, { samplesPerS, maxWidth: width, signal }, options.decoder);
    } catch (error) {
      throw new MienError(error instanceof Error ? error.message : String(error));
    }
    const frames = await this.open(options);
    let lastS = -Infinity;
    try {
      for await (const { image, timestampS } of film.frames()) {
        if (signal?.aborted) break;
        // Files may repeat a time.
        if (timestampS > lastS) options.onResult(await frames.push(image, timestampS), image);
        lastS = Math.max(lastS, timestampS);
        image.close();
        options.onProgress?.(timestampS, film.durationS);
      }
    } finally {
      frames.close();
    }
    return film.decoder;
  }

  /** A stream whose frames the caller pushes, with timestamps of its own. */
  async open(options: StreamOptions & { readonly width?: number } = {}): Promise<Frames> {
    const stream = this.nextId++;
    const { maxFaces, landmarks, width = STREAM_WIDTH } = options;
    await this.call({ type: "open", stream, options: { maxFaces, landmarks } });
    return {
      push: async (source, timestampS, changed) => {
        const image = await bitmapOf(source, width);
        const frame = { type: "frame", stream, image, timestampS, ...(changed && { options: changed }) } as const;
        return (await this.call(frame, [image])) as FrameResult;
      },
      close: () => {
        if (!this.failure) void this.call({ type: "close", stream }).catch(() => undefined);
      },
    };
  }

  /** Ends the worker; calls under way fail. */
  dispose(): void {
    this.fail("it was disposed");
  }

  private call(request: Request, transfer: Transferable[] = []): Promise<FrameResult | null> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      try {
        this.worker.postMessage({ ...request, id } satisfies Call, transfer);
      } catch (error) {
        this.waiting.delete(id);
        reject(new MienError(`expected an image that this page may read, got one of another site; serve it with CORS, or from this site (${String(error)})`));
      }
    });
  }

  private fail(reason: string): void {
    this.failure ??= new MienError(`expected a running worker, but ${reason}; call Mien.create again`);
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(this.failure);
    this.waiting.clear();
  }
}

/** See {@link Mien.open}. */
export interface Frames {
  /** @param changed options from this frame on */
  push(source: ImageSource, timestampS: number, changed?: StreamOptions): Promise<FrameResult>;
  close(): void;
}

function defaultThreads(): number {
  return globalThis.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

function asFolder(url: URL): string {
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}

async function bitmapOf(source: ImageSource, maxWidth = 0): Promise<ImageBitmap> {
  const wide = source instanceof HTMLVideoElement ? source.videoWidth : "width" in source ? source.width : 0;
  try {
    if (maxWidth && wide > maxWidth) {
      return await createImageBitmap(source, { resizeWidth: maxWidth, resizeQuality: "medium" });
    }
    return await createImageBitmap(source);
  } catch (error) {
    throw new MienError(`expected an image that can be decoded, got none: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function playing(stream: MediaStream): Promise<HTMLVideoElement> {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  return video;
}

/** The next frame of a video; where none comes, a quarter of a second later. */
function nextFrame(video: HTMLVideoElement, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, 250);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => done());
    else requestAnimationFrame(() => done());
  });
}
