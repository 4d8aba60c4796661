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
  expect(pending.received(9000)).toBe(8000);
  expect(pending.waiting).toBe(true);
  expect(pending.received(9100)).toBe(2000);
  expect(pending.waiting).toBe(false);
});

test("clears pending frames on reconnect", () => {
  const pending = new PendingFrames();
  pending.sent(0);
  pending.clear();
  expect(pending.waiting).toBe(false);
  expect(pending.checkTimeout(10_000, 6000)).toBe(false);
  expect(pending.received(50)).toBe(0);
});
