import { expect, test } from "vitest";
import { Continuity } from "../src/continuity";
import type { Face, FrameResult } from "../src/result";

function result(timeS: number, frame: number, people: number[]): FrameResult {
  const faces = people.map((track_id) => ({ track_id }) as Face);
  return {
    schema_version: 1, source: null, image_size_wh: [1, 1], frame_index: frame, timestamp_s: timeS,
    faces, timings_ms: {}, models: {}, warnings: [],
  };
}

test("a reopened stream goes on after the time that passed, with new people", () => {
  const joined = new Continuity();
  joined.reopen();
  expect(joined.join(result(0.5, 0, [1]), 10_500)).toMatchObject({ timestamp_s: 0.5, frame_index: 0 });
  const before = joined.join(result(3, 25, [1, 2]), 13_000);
  expect(before.faces.map((face) => face.track_id)).toEqual([1, 2]);
  // The server was unavailable for 20 s.
  joined.reopen();
  const after = joined.join(result(0, 0, [1]), 33_000);
  expect(after).toMatchObject({ timestamp_s: 23, frame_index: 26 });
  expect(after.faces.map((face) => face.track_id)).toEqual([3]);
  const next = joined.join(result(0.2, 1, [1, 2]), 33_210);
  expect(next).toMatchObject({ timestamp_s: 23.2, frame_index: 27 });
  expect(next.faces.map((face) => face.track_id)).toEqual([3, 4]);
});
