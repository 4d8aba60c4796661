import { expect, test } from "vitest";
import { Flight } from "../src/flight";

test("each answer belongs to the picture that was sent first", () => {
  const flight = new Flight();
  flight.depart(1000);
  expect(flight.busy).toBe(true);
  expect(flight.giveUp(3000, 6000)).toBe(false);
  expect(flight.giveUp(7001, 6000)).toBe(true);
  expect(flight.busy).toBe(false);
  flight.depart(7100);
  // The late answer is that of the picture that was given up; the second one is still waited for.
  expect(flight.arrive(9000)).toBe(8000);
  expect(flight.busy).toBe(true);
  expect(flight.arrive(9100)).toBe(2000);
  expect(flight.busy).toBe(false);
});

test("a connection that broke owes no answers", () => {
  const flight = new Flight();
  flight.depart(0);
  flight.clear();
  expect(flight.busy).toBe(false);
  expect(flight.giveUp(10_000, 6000)).toBe(false);
  expect(flight.arrive(50)).toBe(0);
});
