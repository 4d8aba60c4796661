import { expect, test } from "vitest";
import { resolvePrior, scoresOf, underPrior, type Frequencies } from "../mien-web/src/priors";

const SPEC: Frequencies = {
  name: "fake",
  labels: ["neutral", "happiness", "disgust"],
  training_prior: [0.6, 0.3, 0.1],
  prior: "half",
  uncertain_below: 0.5,
};
const LOGITS = [2, 1.5, 1];

/** What a network with these logits says under a prior. */
function under(prior: "natural" | "half" | "uniform") {
  const ratio = resolvePrior(prior, SPEC)[1];
  return scoresOf(LOGITS.map((logit, k) => logit + (ratio?.[k] ?? 0)), SPEC);
}

test("probabilities under another prior are those that the network would have given", () => {
  for (const from of ["natural", "half", "uniform"] as const) {
    for (const to of ["natural", "half", "uniform"] as const) {
      const [changed, wanted] = [underPrior(under(from), from, to, SPEC), under(to)];
      expect(changed.label).toBe(wanted.label);
      expect(changed.uncertain).toBe(wanted.uncertain);
      for (const label of SPEC.labels) expect(changed.probabilities[label]).toBeCloseTo(wanted.probabilities[label]!, 9);
    }
  }
  expect(under("natural").label).toBe("neutral");
  expect(under("uniform").label).toBe("disgust");
});

test("a covered face stays uncertain under any prior", () => {
  const sure = { ...under("natural"), probabilities: { neutral: 0.9, happiness: 0.08, disgust: 0.02 } };
  expect(underPrior({ ...sure, uncertain: false }, "natural", "half", SPEC).uncertain).toBe(false);
  expect(underPrior({ ...sure, uncertain: true }, "natural", "half", SPEC).uncertain).toBe(true);
});

test("a prior that there is not is refused", () => {
  expect(() => resolvePrior("nothing" as "half", SPEC)).toThrow("expected the prior");
});
