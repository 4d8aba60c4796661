/** The library's entry: faces and their apparent expressions, computed on the device. */

import { MAX_MEGAPIXELS } from "./constants";
import type { FrameResult } from "./documents";
import { openFilm, type Film } from "./film";
import type { AnalyzeOptions, StreamOptions } from "./options";
import type { Prior } from "./priors";
import type { Call, Reply, Request } from "./protocol";

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
    worker.onerror = (event) => this.fail(event.message ? `the worker stopped: ${event.message}` : "it could not be loaded; serve mien-worker.js beside mien-web.js (in Vite, exclude mien-web from optimizeDeps)");
  }

  /**
   * Loads the models.
   *
   * @throws MienError an option is wrong, or WebAssembly, a worker or a model is not available
   */
  static async create(options: CreateOptions): Promise<Mien> {
    if (typeof WebAssembly === "undefined") throw new MienError("expected WebAssembly, got a browser without it; use a current browser");
    if (typeof OffscreenCanvas === "undefined") throw new MienError("expected OffscreenCanvas, got a browser without it; use a current browser");
    if (!WebAssembly.validate(SIMD)) throw new MienError("expected WebAssembly with SIMD, got a browser without it; use a current browser");
    const { assets, runtime, threads, backend = "auto", ...rest } = options;
    if (!["auto", "wasm"].includes(backend))
      throw new MienError(`expected the backend "auto" or "wasm", got "${backend}"; both run in WebAssembly, WebGPU is not included`);
    checkNumbers(options);
    const folder = folderOf("assets", assets);
    const runtimeFolder = runtime ? folderOf("runtime", runtime) : new URL("runtime/", folder).href;
    let worker: Worker;
    try {
      worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mien" });
    } catch (error) {
      throw new MienError(`expected the files of mien-web on this page's own site, over HTTP, got others; serve them from there (${String(error)})`);
    }
    const mien = new Mien(worker);
    try {
      await mien.call({
        type: "create",
        options: {
          ...rest,
          assets: folder,
          runtime: runtimeFolder,
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
   * Frames that arrive while one is being analyzed are dropped, so that results never lag. A video that is paused shows one
   * frame, which is analyzed once.
   *
   * @throws MienError there is no picture to analyze, or the video cannot be played on
   */
  async stream(source: HTMLVideoElement | MediaStream, options: WatchOptions): Promise<void> {
    const video = source instanceof MediaStream ? await playing(source) : source;
    const frames = await this.open(options);
    const started = performance.now();
    let analyzedS = NaN;
    try {
      while (!options.signal?.aborted && !video.ended) {
        await nextFrame(video, options.signal);
        if (options.signal?.aborted) break;
        if (this.failure) throw this.failure;
        if (video.error) throw new MienError(`expected a video that this browser can play, got one that it cannot: ${video.error.message || `error ${video.error.code}`}`);
        if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
        if (!video.videoWidth && !video.srcObject) throw new MienError("expected a video, got sound without pictures");
        if (!video.videoWidth || video.currentTime === analyzedS) continue;
        analyzedS = video.currentTime;
        const timestampS = (performance.now() - started) / 1000;
        try {
          const result = await frames.push(video, timestampS);
          if (!options.signal?.aborted) options.onResult(result);
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

function checkNumbers({ minScore, minPresence, threads }: CreateOptions): void {
  for (const [name, value] of Object.entries({ minScore, minPresence })) {
    if (value !== undefined && !(value >= 0 && value <= 1)) throw new MienError(`expected ${name} in 0 to 1, got ${value}`);
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) throw new MienError(`expected a whole number of threads above 0, got ${threads}`);
}

function folderOf(name: string, address: string | URL | undefined): string {
  if (!address || !URL.canParse(address, location.href)) {
    throw new MienError(`expected the address of a folder as ${name}, such as "/mien-web/models/", got ${JSON.stringify(address)}`);
  }
  const { href } = new URL(address, location.href);
  return href.endsWith("/") ? href : `${href}/`;
}

async function bitmapOf(source: ImageSource, maxWidth = 0): Promise<ImageBitmap> {
  try {
    if (maxWidth && widthOf(source) > maxWidth) {
      return await createImageBitmap(source, { resizeWidth: maxWidth, resizeQuality: "medium" });
    }
    return await createImageBitmap(source);
  } catch (error) {
    throw new MienError(`expected an image that can be decoded, got none: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** In pixels of the image, not of the page; 0 for a file, whose size is not known yet. */
function widthOf(source: ImageSource): number {
  if (source instanceof HTMLVideoElement) return source.videoWidth;
  if (source instanceof HTMLImageElement) return source.naturalWidth;
  return "width" in source ? source.width : 0;
}

async function playing(stream: MediaStream): Promise<HTMLVideoElement> {
  if (!stream.getVideoTracks().length) throw new MienError("expected a stream with a video track, got one without");
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.srcObject = stream;
  await video.play().catch((error: unknown) => {
    throw new MienError(`expected a stream that can be played, got ${String(error)}`);
  });
  return video;
}

/** The next frame of a video; where the browser tells of none, as in a hidden tab, a quarter of a second later. */
function nextFrame(video: HTMLVideoElement, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const tellsFrames = "requestVideoFrameCallback" in video;
    const request = tellsFrames ? video.requestVideoFrameCallback(done) : requestAnimationFrame(done);
    const timer = setTimeout(done, 250);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      if (tellsFrames) video.cancelVideoFrameCallback(request);
      else cancelAnimationFrame(request);
      resolve();
    }
    signal?.addEventListener("abort", done);
  });
}
