import { expect, test } from "vitest";
import { LEVELS, QualityControl } from "../src/quality";

const top = LEVELS.at(-1);

test("keeps the best quality on a fast network", () => {
  const control = new QualityControl();
  for (let ms = 0; ms < 20_000; ms += 100) control.observe(40, ms);
  expect(control.level).toBe(top);
});

test("steps down at once on a slow network, and up only after a stable period", () => {
  const control = new QualityControl();
  let now = 1000;
  expect(control.observe(900, now)).toBe(true);
  expect(control.level).toBe(LEVELS.at(-2));
  expect(control.observe(900, now + 100)).toBe(false);
  for (; now < 10_000; now += 600) control.observe(900, now);
  expect(control.level).toBe(LEVELS[0]);
  expect(control.observe(50, now)).toBe(false);
  for (let i = 0; i < 300; i++) control.observe(50, (now += 100));
  expect(control.level).toBe(top);
});
