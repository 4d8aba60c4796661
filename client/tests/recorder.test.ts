import { expect, test, vi } from "vitest";
import type { FrameResult, Notice } from "../src/result";
import { ResultRecorder } from "../src/result_recorder";
import { HttpTransport } from "../src/transport";

/** A server whose first answers take longest, so that requests that do not wait overtake each other; the answers before `from` are a proxy's. */
function slowServer(from = 0): string[] {
  const arrived: string[] = [];
  let opened = 0;
  let waitMs = 40;
  vi.stubGlobal("fetch", async (url: string, { method = "GET" }: RequestInit = {}) => {
    waitMs = Math.max(0, waitMs - 10);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    arrived.push(`${method} ${url}`);
    if (url.includes("/recording") && arrived.length <= from) return new Response("<!doctype html>");
    if (url === "/api/v1/live") return Response.json({ id: `s${++opened}` });
    const started = method === "POST" && url.includes("/recording");
    return Response.json({ type: "recording", state: started ? "started" : "stopped", session_id: `of-s${opened}`, complete: true });
  });
  return arrived;
}

test.each([0, 2])("record and stop over HTTP arrive in their order, also after a page of a proxy", async (from) => {
  const arrived = slowServer(from);
  const transport = new HttpTransport({ onMessage: () => undefined, onState: () => undefined });
  await vi.waitFor(() => expect(transport.ready).toBe(true));
  transport.command({ type: "record" });
  transport.command({ type: "stop_recording" });
  transport.command({ type: "neutral", track_id: 2 });
  transport.command({ type: "forget_neutral", track_id: 2 });
  await vi.waitFor(() => expect(arrived).toHaveLength(5));
  const sent = ["POST recording", "DELETE recording", "POST neutral?track_id=2", "DELETE neutral?track_id=2"];
  expect(arrived.slice(1).map((line) => line.replace("/api/v1/live/s1/", ""))).toEqual(sent);
});

test("what waits is sent at once where the page ends", async () => {
  const arrived = slowServer();
  const recorder = new ResultRecorder(() => undefined);
  recorder.start(undefined, "left");
  await vi.waitFor(() => expect(arrived).toHaveLength(2));
  recorder.add({ faces: [] } as unknown as FrameResult);
  recorder.leave();
  await vi.waitFor(() => expect(arrived).toHaveLength(4));
  expect(arrived.slice(2).sort()).toEqual(["DELETE /api/v1/live/s1", "POST /api/v1/live/s1/results"]);
});

test("a recording that starts while another one ends takes nothing from it", async () => {
  slowServer();
  const notices: Notice[] = [];
  const recorder = new ResultRecorder((notice) => notices.push(notice));
  const result = { faces: [] } as unknown as FrameResult;
  recorder.start(undefined, "first");
  recorder.add(result);
  const first = recorder.stop();
  recorder.start(undefined, "second");
  recorder.add(result);
  await Promise.all([first, recorder.stop()]);
  expect(notices.map((notice) => notice.type === "recording" && [notice.state, notice.session_id])).toEqual([
    ["started", "of-s1"],
    ["stopped", "of-s1"],
    ["started", "of-s2"],
    ["stopped", "of-s2"],
  ]);
});
