import { expect, test } from "vitest";
import { deriveAffect } from "../mien-web/src/signals";
import { colorClass } from "../src/page";
import { labelText } from "../src/words";

test("own labels have the colors of pictures", () => {
  // As in tests/web/test_words.py.
  const names = ["happiness", "bored", "a_b", "done", "müde 疲れ"];
  expect(names.map(colorClass)).toEqual(["x-happiness", "x-own-2", "x-own-0", "x-own-3", "x-own-0"]);
});

test("own labels are shown as they are", () => {
  expect(["a_b", "constructor", "Save"].map(labelText)).toEqual(["a_b", "constructor", "Save"]);
});

test("own labels that every object has are labels without a place", () => {
  expect(deriveAffect({ constructor: 0.2, happiness: 0.8 })).toEqual(deriveAffect({ bored: 0.2, happiness: 0.8 }));
});
