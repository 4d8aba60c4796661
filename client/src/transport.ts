/** Carries pictures to the server and answers back: a WebSocket, or HTTP where those are blocked. */

import type { Answer } from "./result";

export type LinkState = "connecting" | "open" | "away" | "full";

export interface Listener {
  onAnswer(answer: Answer): void;
  onState(state: LinkState): void;
}

export interface Command {
  type: "options" | "record" | "stop_recording";
  landmarks?: boolean;
}

export interface Transport {
  readonly name: string;
  readonly ready: boolean;
  send(picture: Blob): void;
  command(command: Command): void;
  close(): void;
}

const FULL = 1013;
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;

/** Comes back by itself after a break, waiting longer each time. */
export class SocketTransport implements Transport {
  readonly name = "WebSocket";
  private socket: WebSocket | undefined;
  private closed = false;
  private waitMs = FIRST_WAIT_MS;
  private everOpen = false;

  /** @param onBlocked called once, where no WebSocket ever opens but the server answers */
  constructor(
    private readonly listener: Listener,
    private readonly onBlocked: () => void,
  ) {
    this.connect();
  }

  get ready(): boolean {
    return this.socket?.readyState === WebSocket.OPEN && this.socket.bufferedAmount === 0;
  }

  send(picture: Blob): void {
    this.socket?.send(picture);
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
      this.everOpen = true;
      this.waitMs = FIRST_WAIT_MS;
      this.listener.onState("open");
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.listener.onAnswer(JSON.parse(event.data) as Answer);
    };
    socket.onclose = (event) => {
      if (this.closed) return;
      this.listener.onState(event.code === FULL ? "full" : "away");
      void this.comeBack();
    };
  }

  private async comeBack(): Promise<void> {
    if (!this.everOpen && (await isServerThere())) {
      this.closed = true;
      this.onBlocked();
      return;
    }
    // Clients that lost one server together shall not all return in the same moment.
    const wait = this.waitMs * (0.75 + Math.random() / 2);
    this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
    setTimeout(() => {
      if (!this.closed) this.connect();
    }, wait);
  }
}

async function isServerThere(): Promise<boolean> {
  try {
    return (await fetch("/healthz", { signal: AbortSignal.timeout(3000) })).ok;
  } catch {
    return false;
  }
}

/** The same conversation as a row of HTTP requests. */
export class HttpTransport implements Transport {
  readonly name = "HTTP";
  private address: string | undefined;
  private closed = false;
  private landmarks = false;

  constructor(private readonly listener: Listener) {
    void this.open();
  }

  get ready(): boolean {
    return this.address !== undefined;
  }

  send(picture: Blob): void {
    void this.post(picture);
  }

  command(command: Command): void {
    if (command.type === "options") this.landmarks = command.landmarks ?? false;
    else if (this.address) void this.record(command.type === "record" ? "POST" : "DELETE");
  }

  close(): void {
    this.closed = true;
    if (this.address) void fetch(this.address, { method: "DELETE", keepalive: true });
    this.address = undefined;
  }

  private async open(): Promise<void> {
    this.listener.onState("connecting");
    while (!this.closed) {
      const response = await request("/api/v1/live", { method: "POST" });
      if (response?.ok) {
        const { id } = (await response.json()) as { id: string };
        this.address = `/api/v1/live/${id}`;
        this.listener.onState("open");
        return;
      }
      this.listener.onState(response?.status === 503 ? "full" : "away");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }

  private async post(picture: Blob): Promise<void> {
    const response = await request(`${this.address}/frames?landmarks=${this.landmarks}`, {
      method: "POST",
      body: picture,
      headers: { "Content-Type": "image/jpeg" },
    });
    if (this.closed) return;
    if (response?.ok) {
      this.listener.onAnswer((await response.json()) as Answer);
    } else if (response?.status === 503) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      this.listener.onAnswer({ type: "busy", retry_after_ms: 1000 * seconds });
    } else if (response?.status === 400) {
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      this.listener.onAnswer({ type: "error", error });
    } else {
      this.address = undefined;
      this.listener.onState("away");
      await this.open();
    }
  }

  private async record(method: "POST" | "DELETE"): Promise<void> {
    const response = await request(`${this.address}/recording`, { method });
    if (response) this.listener.onAnswer((await response.json()) as Answer);
  }
}

async function request(address: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(address, { ...init, signal: AbortSignal.timeout(10_000) });
  } catch {
    return undefined;
  }
}
