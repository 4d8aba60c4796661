/** Stores the results of a stream that was analyzed on this device as a session on the server. */

import { proposedName } from "./naming";
import type { FrameResult, Notice } from "./result";
import { recordQuery } from "./transport";
import { t } from "./words";

const EVERY_MS = 1000;
// While the server is unreachable, results of some minutes wait; more are discarded.
const MAX_WAITING = 6000;
const MAX_BATCH = 100;

/** One recording: its own results and address, as the next one may start before it has ended. */
interface Recording {
  readonly name: string;
  sessionId: string | undefined;
  address: string | undefined;
  waiting: FrameResult[];
  complete: boolean;
  stored: boolean;
}

export class ResultRecorder {
  private current: Recording | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dueMs = 0;
  /** One request after the other, those of an earlier recording first. */
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
    if (this.current) {
      // Asked again while paused: the server must not end the stream meanwhile.
      const { address } = this.current;
      if (address) void request(`${address}/recording`, { method: "POST" });
      return;
    }
    const stored = sessionId !== undefined;
    const begun: Recording = { name, sessionId, address: undefined, waiting: [], complete: true, stored };
    this.current = begun;
    this.queue(() => this.open(begun));
  }

  add(result: FrameResult): void {
    const recording = this.current;
    if (!recording) return;
    recording.waiting.push(result);
    if (recording.waiting.length > MAX_WAITING) {
      recording.waiting.shift();
      recording.complete = false;
    }
    if (this.timer === undefined) {
      this.dueMs = performance.now() + EVERY_MS;
      this.timer = setTimeout(() => this.send(recording), EVERY_MS);
      // Browsers delay the timers of a hidden tab by up to a minute; by then the server has ended the stream.
    } else if (performance.now() >= this.dueMs) this.send(recording);
  }

  /** A task that fails, as on the page of a proxy, stops no later one. */
  private queue(task: () => Promise<void>): void {
    this.sending = this.sending.then(task).catch(() => undefined);
  }

  private send(recording: Recording): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.queue(() => this.flush(recording));
  }

  /** Sends what waits and ends the session. */
  async stop(): Promise<void> {
    const ended = this.current;
    if (!ended) return;
    this.current = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.queue(() => this.end(ended));
    await this.sending;
  }

  private async end(ended: Recording): Promise<void> {
    await this.flush(ended);
    const complete = ended.complete && !ended.waiting.length;
    if (ended.address) await request(ended.address, { method: "DELETE" });
    // The server keeps no session without results.
    this.notify({ type: "recording", state: "stopped", session_id: (ended.stored && ended.sessionId) || null, complete });
  }

  /** The page ends: sends what waits and the end at once, as no answer will be read. */
  leave(): void {
    const ended = this.current;
    this.current = undefined;
    clearTimeout(this.timer);
    if (!ended?.address) return;
    const { address, waiting } = ended;
    // Nothing is left to a request that is under way.
    Object.assign(ended, { address: undefined, waiting: [] });
    if (waiting.length) void request(`${address}/results`, { ...posted(waiting.slice(0, MAX_BATCH)), keepalive: true });
    void request(address, { method: "DELETE" });
  }

  private async open(recording: Recording): Promise<void> {
    const opened = await request("/api/v1/live", { method: "POST" });
    if (!opened?.ok) return this.fail(recording, opened);
    const { id } = (await opened.json()) as { id: string };
    const query = recordQuery({ session_id: recording.sessionId, name: recording.name });
    const started = await request(`/api/v1/live/${id}/recording${query}`, { method: "POST" });
    if (!started?.ok) return this.fail(recording, started);
    const notice = (await started.json()) as Extract<Notice, { type: "recording"; state: "started" }>;
    recording.address = `/api/v1/live/${id}`;
    recording.sessionId = notice.session_id;
    this.notify(notice);
  }

  private async flush(recording: Recording): Promise<void> {
    if (!recording.waiting.length) return;
    // A stream that the server has ended, as after a restart, is opened again and goes on.
    if (!recording.address) await this.open(recording);
    if (!recording.address) return;
    const results = recording.waiting.slice(0, MAX_BATCH);
    const answer = await request(`${recording.address}/results`, posted(results));
    // No space, or the session was deleted.
    if (answer?.status === 507 || answer?.status === 410) return this.fail(recording, answer);
    if (answer?.status === 404 && !this.isLive) {
      const message = t("Some results could not be stored. The others are in your sessions.");
      return this.notify({ type: "error", error: { code: "session_ended", message } });
    }
    if (answer?.status === 404) recording.address = undefined;
    else if (answer && answer.status < 500 && answer.status !== 429) {
      // What the server refuses once, it refuses again.
      recording.complete &&= answer.ok;
      recording.stored ||= answer.ok;
      recording.waiting = recording.waiting.slice(results.length);
      if (recording.waiting.length) await this.flush(recording);
    }
  }

  private async fail(failed: Recording, answer: Response | undefined): Promise<void> {
    if (!answer || answer.status === 503) return;
    if (this.current === failed) this.current = undefined;
    failed.waiting = [];
    if (failed.address) await request(failed.address, { method: "DELETE" });
    failed.address = undefined;
    const said = (await answer.json().catch(() => null)) as { error?: { code: string; message: string } } | null;
    if (failed.sessionId) this.notify({ type: "recording", state: "stopped", session_id: failed.sessionId, complete: false });
    failed.sessionId = undefined;
    const unknown = { code: "recording_failed", message: t("Recording is not possible now. Try again in a moment.") };
    this.notify({ type: "error", error: said?.error ?? unknown });
  }
}

function posted(results: readonly FrameResult[]): RequestInit {
  return { method: "POST", body: JSON.stringify({ results }), headers: { "Content-Type": "application/json" } };
}

async function request(url: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(url, { ...init, keepalive: init.keepalive ?? init.method === "DELETE", signal: AbortSignal.timeout(10_000) });
  } catch {
    return undefined;
  }
}
