import { expect, test } from "vitest";
import { PendingFrames } from "../src/session";

test("matches results to frames in order", () => {
  const pending = new PendingFrames();
  pending.sent(1000);
  expect(pending.waiting).toBe(true);
  expect(pending.checkTimeout(3000, 6000)).toBe(false);
  expect(pending.checkTimeout(7001, 6000)).toBe(true);
  expect(pending.waiting).toBe(false);
  pending.sent(7100);
  // The late result belongs to the frame that timed out; the second one is still expected.
  expect(pending.received(9000).latencyMs).toBe(8000);
  expect(pending.waiting).toBe(true);
  expect(pending.received(9100).latencyMs).toBe(2000);
  expect(pending.waiting).toBe(false);
});

test("clears pending frames on reconnect", () => {
  const pending = new PendingFrames();
  pending.sent(0);
  pending.clear();
  expect(pending.waiting).toBe(false);
  expect(pending.checkTimeout(10_000, 6000)).toBe(false);
  expect(pending.received(50)).toEqual({ latencyMs: 0, picture: undefined });
});

test("gives each result the picture of its frame", () => {
  const [late, dropped, last] = ["late", "dropped", "last"].map((text) => new Blob([text]));
  const pending = new PendingFrames();
  pending.sent(0, late);
  expect(pending.checkTimeout(7000, 6000)).toBe(true);
  pending.sent(7000, dropped);
  pending.sent(7000, last);
  expect(pending.received(7100).picture).toBe(late);
  pending.dropped();
  expect(pending.received(7300).picture).toBe(last);
});

test("releases the pictures of frames without a result", () => {
  let open = 3;
  const picture = () => ({ close: () => open-- }) as unknown as ImageBitmap;
  const pending = new PendingFrames();
  for (let i = 0; i < 3; i++) pending.sent(0, picture());
  pending.dropped();
  expect(open).toBe(2);
  pending.clear();
  expect(open).toBe(0);
});
