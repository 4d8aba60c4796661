/** Sends frames to the server and receives results: by WebSocket, or by HTTP where it is blocked. */

import type { Message } from "./result";

export type LinkState = "connecting" | "open" | "unreachable" | "full";

export interface Listener {
  onMessage(message: Message): void;
  onState(state: LinkState): void;
}

export interface Command {
  type: "options" | "record" | "stop_recording" | "neutral" | "forget_neutral";
  landmarks?: boolean;
  /** The session of a lost connection, to go on with. */
  session_id?: string;
  /** Of a new session. */
  name?: string;
  /** The person whose face is neutral. */
  track_id?: number;
}

export interface Transport {
  readonly name: string;
  readonly ready: boolean;
  send(frame: Blob): void;
  /** Takes frames as they are, where they need not travel; they stay the caller's. */
  sendFrame?(frame: ImageBitmap): void;
  command(command: Command): void;
  /** @param leaving the page ends now */
  close(leaving?: boolean): void;
}

const TRY_AGAIN_LATER = 1013;
const MIN_RETRY_MS = 400;
const MAX_RETRY_MS = 8000;

/** Reconnects automatically with exponential backoff. */
export class SocketTransport implements Transport {
  readonly name = "WebSocket";
  private socket: WebSocket | undefined;
  private closed = false;
  private waitMs = MIN_RETRY_MS;
  private wasOpen = false;

  /** @param onBlocked called once if no WebSocket ever opens although the server responds */
  constructor(
    private readonly listener: Listener,
    private readonly onBlocked: () => void,
  ) {
    this.connect();
  }

  get ready(): boolean {
    return this.socket?.readyState === WebSocket.OPEN && this.socket.bufferedAmount === 0;
  }

  send(frame: Blob): void {
    this.socket?.send(frame);
  }

  command(command: Command): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }

  close(): void {
    this.closed = true;
    this.socket?.close();
  }

  private connect(): void {
    this.listener.onState("connecting");
    const socket = new WebSocket(new URL("/ws/live", location.href.replace(/^http/, "ws")));
    this.socket = socket;
    socket.onopen = () => {
      this.wasOpen = true;
      this.waitMs = MIN_RETRY_MS;
      this.listener.onState("open");
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.listener.onMessage(JSON.parse(event.data) as Message);
    };
    socket.onclose = (event) => {
      if (this.closed) return;
      this.listener.onState(event.code === TRY_AGAIN_LATER ? "full" : "unreachable");
      void this.reconnect();
    };
  }

  private async reconnect(): Promise<void> {
    if (!this.wasOpen && (await isServerReachable())) {
      this.closed = true;
      this.onBlocked();
      return;
    }
    // Jitter, so that the clients of one server do not reconnect at the same time.
    const wait = this.waitMs * (0.75 + Math.random() / 2);
    this.waitMs = Math.min(MAX_RETRY_MS, this.waitMs * 2);
    setTimeout(() => {
      if (!this.closed) this.connect();
    }, wait);
  }
}

async function isServerReachable(): Promise<boolean> {
  try {
    return (await fetch("/healthz", { signal: AbortSignal.timeout(3000) })).ok;
  } catch {
    return false;
  }
}

/** The same protocol over HTTP requests. */
export class HttpTransport implements Transport {
  readonly name = "HTTP";
  private url: string | undefined;
  private closed = false;
  private landmarks = false;
  /** Requests of recordings, one after the other, as two at once may arrive in the other order; one that fails stops no later one. */
  private recording: Promise<void> = Promise.resolve();

  constructor(private readonly listener: Listener) {
    void this.open();
  }

  get ready(): boolean {
    return this.url !== undefined;
  }

  send(frame: Blob): void {
    this.post(frame).catch(() => undefined);
  }

  command(command: Command): void {
    if (command.type === "options") this.landmarks = command.landmarks ?? false;
    else if (this.url) this.recording = this.recording.then(() => this.record(command)).catch(() => undefined);
  }

  close(): void {
    this.closed = true;
    if (this.url) void fetch(this.url, { method: "DELETE", keepalive: true });
    this.url = undefined;
  }

  private async open(): Promise<void> {
    this.listener.onState("connecting");
    while (!this.closed) {
      const response = await request("/api/v1/live", { method: "POST" });
      if (response?.ok) {
        const { id } = (await response.json()) as { id: string };
        this.url = `/api/v1/live/${id}`;
        this.listener.onState("open");
        return;
      }
      this.listener.onState(response?.status === 503 ? "full" : "unreachable");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }

  private async post(frame: Blob): Promise<void> {
    const response = await request(`${this.url}/frames?landmarks=${this.landmarks}`, {
      method: "POST",
      body: frame,
      headers: { "Content-Type": "image/jpeg" },
    });
    if (this.closed) return;
    if (response?.ok) {
      this.listener.onMessage((await response.json()) as Message);
    } else if (response?.status === 503) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      this.listener.onMessage({ type: "busy", retry_after_ms: 1000 * seconds });
    } else if (response && [400, 410, 507].includes(response.status)) {
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      // Of the other two, the image has no answer: a recording has ended by itself.
      if (response.status !== 400) this.listener.onMessage({ type: "dropped", frames: 1 });
      this.listener.onMessage({ type: "error", error });
    } else {
      this.url = undefined;
      this.listener.onState("unreachable");
      await this.open();
    }
  }

  private async record(command: Command): Promise<void> {
    const isNeutral = command.track_id !== undefined;
    const method = command.type === "record" || command.type === "neutral" ? "POST" : "DELETE";
    if (!this.url) return;
    const path = isNeutral ? `neutral?track_id=${command.track_id}` : `recording${recordQuery(command)}`;
    const response = await request(`${this.url}/${path}`, { method });
    if (!response) return;
    const answer = (await response.json()) as Message | { error: { code: string; message: string } };
    this.listener.onMessage("error" in answer && !response.ok ? { type: "error", error: answer.error } : (answer as Message));
  }
}

/** The parameters of the request that starts a recording. */
export function recordQuery({ session_id, name }: { session_id?: string | undefined; name?: string | undefined }): string {
  const given = Object.entries({ session_id, name }).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

async function request(url: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
  } catch {
    return undefined;
  }
}
