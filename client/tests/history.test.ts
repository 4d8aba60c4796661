import { expect, test } from "vitest";
import { fit, freeTop } from "../src/draw";
import { History, nearest, Series } from "../src/history";
import { clock } from "../src/page";
import { type FrameResult, isNotice, type Label, serverMs, toCsv } from "../src/result";

function result(timeS: number, label: Label = "happiness"): FrameResult {
  return {
    schema_version: 1,
    source: null,
    image_size_wh: [640, 480],
    frame_index: Math.round(timeS * 10),
    timestamp_s: timeS,
    faces: [
      {
        box: { x_min: 1, y_min: 2, x_max: 3, y_max: 4 },
        score: 0.9,
        track_id: 1,
        landmarks: { scheme: "mesh468", presence: 1, points: [[1, 2]] },
        expression: { label, uncertain: false, probabilities: { happiness: 0.75, neutral: 0.25 } },
        quality: null,
        affect: null,
        signals: null,
      },
    ],
    timings_ms: { locate: 2, describe: 3.5 },
    models: {},
  };
}

test("history drops landmarks and the oldest results", () => {
  const history = new History();
  for (let i = 0; i < 40_001; i++) history.add(result(i));
  expect(history.length).toBe(30_001);
  expect(history.all()[0]?.timestamp_s).toBe(10_000);
  expect(history.all()[0]?.faces[0]?.landmarks?.points).toBeUndefined();
});

test("series marks gaps and thins its older half", () => {
  const series = new Series(["happiness"], 100);
  series.add(1, { happiness: 0.5 }, "happiness");
  series.add(1, { happiness: 0.9 }, "happiness");
  series.add(5, { happiness: 0.7 }, "neutral");
  expect(series.times).toEqual([1, 3, 5]);
  expect(series.values.get("happiness")).toEqual([0.5, null, 0.7]);
  // Not the most probable label, but the one that the result has.
  expect(series.held).toEqual(["happiness", "", "neutral"]);
  for (let i = 0; i < 500; i++) series.add(6 + i, { happiness: 0.1 }, "neutral");
  expect(series.times.length).toBeLessThanOrEqual(100);
  expect(series.times.length).toBe(series.values.get("happiness")?.length);
  expect(series.held.length).toBe(series.times.length);
  expect(series.times.at(-1)).toBe(505);
});

test("nearest returns the last time at or before another", () => {
  const times = [0, 1, 2, 5];
  expect([-1, 0, 1.5, 4.9, 5, 99].map((timeS) => nearest(times, timeS))).toEqual([0, 0, 1, 2, 3, 3]);
});

test("toCsv writes a row per face", () => {
  const lines = toCsv([result(0), result(0.1, "neutral")]).trimEnd().split("\n");
  const names = lines[0]!.split(",");
  const cells = lines[2]!.split(",");
  expect(cells.length).toBe(names.length);
  const row = Object.fromEntries(names.map((name, index) => [name, cells[index]]));
  expect(names.slice(0, 4)).toEqual(["frame_index", "timestamp_s", "track_id", "x_min"]);
  expect(row).toMatchObject({ frame_index: "1", timestamp_s: "0.1", track_id: "1", y_max: "4" });
  expect(row).toMatchObject({ expression: "neutral", uncertain: "false", p_happiness: "0.75" });
  expect(row).toMatchObject({ yaw_deg: "", blinks: "", p_raw_neutral: "" });
});

test("fit keeps the aspect ratio", () => {
  expect(fit(640, 480, 1280, 1280)).toEqual({ scale: 2, left: 0, top: 160 });
  expect(fit(960, 540, 480, 540)).toEqual({ scale: 0.5, left: 0, top: 135 });
});

test("clock, serverMs and isNotice", () => {
  expect([0, 59.6, 61, 600].map((seconds) => clock(seconds))).toEqual(["0:00", "1:00", "1:01", "10:00"]);
  expect(serverMs(result(0))).toBe(5.5);
  expect(isNotice(result(0))).toBe(false);
  expect(isNotice({ type: "dropped", frames: 1 })).toBe(true);
});

test("labels of neighbors do not cover each other", () => {
  const first = { left: 10, right: 110, top: 50, bottom: 76 };
  expect(freeTop([50, 150, 90], 10, 110, 200, [])).toBe(50);
  expect(freeTop([60, 150, 90], 100, 200, 200, [first])).toBe(150);
  expect(freeTop([60, 190, 90], 100, 200, 200, [first])).toBe(90);
  expect(freeTop([-4, 190, 8], 100, 200, 200, [first])).toBe(8);
  expect(freeTop([50, 150, 90], 111, 200, 200, [first])).toBe(50);
  // A badge is higher than a label.
  expect(freeTop([42, 150, 90], 40, 110, 200, [{ left: 14, right: 120, top: 14, bottom: 44 }])).toBe(150);
});
