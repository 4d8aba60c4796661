/** Stores the results of a stream that was analyzed on this device as a session on the server. */

import { proposedName } from "./naming";
import type { FrameResult, Notice } from "./result";
import { recordQuery } from "./transport";
import { messageText, t } from "./words";

const EVERY_MS = 1000;
// While the server is unreachable, results of some minutes wait; more are discarded.
const MAX_WAITING = 6000;
const MAX_BATCH = 100;

export class ResultRecorder {
  private address: string | undefined;
  private waiting: FrameResult[] = [];
  private wanted = false;
  private sessionId: string | undefined;
  private name = "";
  private complete = true;
  private stored = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dueMs = 0;
  private sending: Promise<void> = Promise.resolve();

  /**
   * @param isLive results have the time of now. A session that the server has ended goes on with those; with the
   *   times of a file it would have a gap that is not in the file, so it ends there.
   */
  constructor(
    private readonly notify: (notice: Notice) => void,
    private readonly isLive = true,
  ) {}

  /**
   * @param sessionId a session to go on with
   * @param name of a new session
   */
  start(sessionId?: string, name = proposedName()): void {
    if (this.wanted) {
      // Asked again while paused: the server must not end the stream meanwhile.
      if (this.address) void request(`${this.address}/recording`, { method: "POST" });
      return;
    }
    this.wanted = this.complete = true;
    this.sessionId = sessionId;
    this.stored = sessionId !== undefined;
    this.name = name;
    this.sending = this.sending.then(() => this.open());
  }

  add(result: FrameResult): void {
    if (!this.wanted) return;
    this.waiting.push(result);
    if (this.waiting.length > MAX_WAITING) {
      this.waiting.shift();
      this.complete = false;
    }
    if (this.timer === undefined) {
      this.dueMs = performance.now() + EVERY_MS;
      this.timer = setTimeout(() => this.send(), EVERY_MS);
      // Browsers delay the timers of a hidden tab by up to a minute; by then the server has ended the stream.
    } else if (performance.now() >= this.dueMs) this.send();
  }

  private send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.sending = this.sending.then(() => this.flush());
  }

  /** Sends what waits and ends the session. */
  async stop(): Promise<void> {
    if (!this.wanted) return;
    this.wanted = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.sending;
    await this.flush();
    const complete = this.complete && !this.waiting.length;
    this.waiting = [];
    if (this.address) await request(this.address, { method: "DELETE" });
    // The server keeps no session without results.
    this.notify({ type: "recording", state: "stopped", session_id: (this.stored && this.sessionId) || null, complete });
    this.address = this.sessionId = undefined;
  }

  async close(): Promise<void> {
    await this.stop();
  }

  private async open(): Promise<void> {
    const opened = await request("/api/v1/live", { method: "POST" });
    if (!opened?.ok) return this.fail(opened);
    const { id } = (await opened.json()) as { id: string };
    const started = await request(`/api/v1/live/${id}/recording${recordQuery({ session_id: this.sessionId, name: this.name })}`, { method: "POST" });
    if (!started?.ok) return this.fail(started);
    const notice = (await started.json()) as Extract<Notice, { type: "recording"; state: "started" }>;
    this.address = `/api/v1/live/${id}`;
    this.sessionId = notice.session_id;
    this.notify(notice);
  }

  private async flush(): Promise<void> {
    if (!this.waiting.length) return;
    // A stream that the server has ended, as after a restart, is opened again and goes on.
    if (!this.address) await this.open();
    if (!this.address) return;
    const results = this.waiting.slice(0, MAX_BATCH);
    const answer = await request(`${this.address}/results`, {
      method: "POST",
      body: JSON.stringify({ results }),
      headers: { "Content-Type": "application/json" },
    });
    // No space, or the session was deleted.
    if (answer?.status === 507 || answer?.status === 410) return this.fail(answer);
    if (answer?.status === 404 && !this.isLive) {
      const message = t("Some results could not be stored. The others are in your sessions.");
      return this.notify({ type: "error", error: { code: "session_ended", message } });
    }
    if (answer?.status === 404) this.address = undefined;
    else if (answer && answer.status < 500 && answer.status !== 429) {
      // What the server refuses once, it refuses again.
      this.complete &&= answer.ok;
      this.stored ||= answer.ok;
      this.waiting = this.waiting.slice(results.length);
      if (this.waiting.length) await this.flush();
    }
  }

  private async fail(answer: Response | undefined): Promise<void> {
    if (!answer || answer.status === 503) return;
    this.wanted = false;
    this.waiting = [];
    if (this.address) await request(this.address, { method: "DELETE" });
    this.address = undefined;
    const said = (await answer.json().catch(() => null)) as { error?: { code: string; message: string } } | null;
    if (this.sessionId) this.notify({ type: "recording", state: "stopped", session_id: this.sessionId, complete: false });
    this.sessionId = undefined;
    const message = messageText(said?.error?.message ?? "") || t("Recording is not possible now. Try again in a moment.");
    this.notify({ type: "error", error: { code: said?.error?.code ?? "storage_unavailable", message } });
  }
}

async function request(url: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(url, { ...init, keepalive: init.method === "DELETE", signal: AbortSignal.timeout(10_000) });
  } catch {
    return undefined;
  }
}
