/** `<mien-camera assets="/mien-web/models/">`: a camera with a box around each face. Importing this module defines it. */

import { draw, Mien, MienError, type FrameResult } from "mien-web";

const STYLE = `
  :host { display: block; position: relative; max-width: 40rem; background: #14161a; aspect-ratio: 4 / 3; }
  video, canvas { position: absolute; width: 100%; height: 100%; object-fit: contain; }
  :host(:not([unmirrored])) video { transform: scaleX(-1); }
  button { position: absolute; inset: auto auto 1rem 1rem; font: inherit; padding: 0.6rem 1rem; }
`;

/**
 * Starts at a click, or by `start()`; ends by `stop()` or when it is removed.
 *
 * Attributes: `assets` (see {@link Mien.create}), `runtime`, `model`, `landmarks`, `unmirrored`. Events: `result`, whose
 * `detail` is a FrameResult, and `error`, whose `detail` is an Error.
 */
export class MienCamera extends HTMLElement {
  private readonly video = document.createElement("video");
  private readonly overlay = document.createElement("canvas");
  private readonly button = document.createElement("button");
  private running: AbortController | undefined;

  constructor() {
    super();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    this.video.muted = this.video.playsInline = true;
    this.button.textContent = "Start camera";
    this.button.addEventListener("click", () => void this.start());
    root.append(this.video, this.overlay, this.button);
  }

  disconnectedCallback(): void {
    // Not where the page only moves it.
    queueMicrotask(() => this.isConnected || this.stop());
  }

  /** Asks for the camera and follows faces until `stop()`; problems are `error` events. */
  async start(): Promise<void> {
    if (this.running) return;
    const { signal } = (this.running = new AbortController());
    this.button.hidden = true;
    let loading: Promise<Mien> | undefined;
    let camera: MediaStream | undefined;
    try {
      const attribute = (name: string) => this.getAttribute(name) ?? undefined;
      const [assets = "models/", runtime, model] = ["assets", "runtime", "model"].map(attribute);
      if (!navigator.mediaDevices) throw new MienError("expected a secure page for the camera, got one without HTTPS; use HTTPS, or http://localhost");
      // The networks load while a person answers the browser's question about the camera.
      loading = Mien.create({ assets, ...(runtime && { runtime }), ...(model && { model }) });
      loading.catch(() => undefined);
      camera = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: 640, facingMode: "user" } });
      const mien = await loading;
      if (signal.aborted) return;
      camera.getVideoTracks()[0]?.addEventListener("ended", () => this.stop());
      this.video.srcObject = camera;
      await this.video.play();
      const onResult = (result: FrameResult) => signal.aborted || this.show(result);
      await mien.stream(this.video, { signal, onResult, landmarks: this.hasAttribute("landmarks") });
    } catch (error) {
      if (!signal.aborted) this.dispatchEvent(new CustomEvent("error", { detail: error }));
    } finally {
      void loading?.then((mien) => mien.dispose(), () => undefined);
      for (const track of camera?.getTracks() ?? []) track.stop();
      // It may have been started again.
      if (this.video.srcObject === camera) this.video.srcObject = null;
      if (this.running?.signal === signal) this.stop();
    }
  }

  stop(): void {
    this.running?.abort();
    this.running = undefined;
    this.button.hidden = false;
    this.overlay.getContext("2d")?.clearRect(0, 0, this.overlay.width, this.overlay.height);
  }

  private show(result: FrameResult): void {
    [this.overlay.width, this.overlay.height] = result.image_size_wh as [number, number];
    draw(this.overlay, result, { mirrored: !this.hasAttribute("unmirrored") });
    this.dispatchEvent(new CustomEvent("result", { detail: result }));
  }
}

export interface MienCamera {
  addEventListener(type: "result", listener: (event: CustomEvent<FrameResult>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: "error", listener: (event: CustomEvent<Error>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener<K extends keyof HTMLElementEventMap>(type: K, listener: (this: HTMLElement, event: HTMLElementEventMap[K]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "mien-camera": MienCamera;
  }
}

// Once, also where a page loads the module twice.
if (!customElements.get("mien-camera")) customElements.define("mien-camera", MienCamera);
