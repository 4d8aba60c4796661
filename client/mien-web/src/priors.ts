/** Probabilities under a prior, as in mien's Python module `expression.priors`. */

import type { Expression, Label } from "./documents";
import type { ModelSpec } from "./specs";

/** Which class frequencies the probabilities assume; see the Python option `prior`. */
export type Prior = "default" | "natural" | "half" | "uniform" | Readonly<Record<string, number>>;

/** What a spec says of priors. */
export type Frequencies = Pick<ModelSpec, "name" | "labels" | "training_prior" | "prior" | "uncertain_below">;

const TINY = 1e-9;

/** The name of a prior, and what it adds to the logits; null where it adds nothing. */
export function resolvePrior(prior: Prior, spec: Frequencies): [string, number[] | null] {
  let name = typeof prior === "string" ? prior : "model";
  let wanted = typeof prior === "string" ? null : prior;
  if (prior === "default") {
    wanted = typeof spec.prior === "string" ? null : spec.prior;
    name = typeof spec.prior === "string" ? spec.prior : "model";
  }
  if (name === "natural") return [name, null];
  if (!wanted && name !== "half" && name !== "uniform") {
    throw new RangeError(`expected the prior "default", "natural", "half", "uniform" or a share for each label, got ${JSON.stringify(prior)}`);
  }
  const shares = wanted
    ? spec.labels.map((label) => wanted[label] ?? 0)
    : spec.labels.map((_, k) => (name === "uniform" ? 1 : Math.sqrt(spec.training_prior[k] ?? 1)));
  if (!spec.training_prior.length || shares.some((share) => !(share > 0))) {
    throw new RangeError(`expected a prior above 0 for each label of ${spec.name}, got ${JSON.stringify(prior)}`);
  }
  const total = shares.reduce((sum, share) => sum + share, 0);
  return [name, shares.map((share, k) => Math.log(share / total) - Math.log(spec.training_prior[k]!))];
}

/** Calibrated probabilities from logits, with an uncertain prediction marked. */
export function scoresOf(logits: readonly number[], { labels, uncertain_below }: Frequencies): Expression {
  const probabilities = softmax(logits);
  const best = probabilities.indexOf(Math.max(...probabilities));
  return {
    label: labels[best] as Label,
    uncertain: probabilities[best]! < uncertain_below,
    probabilities: Object.fromEntries(labels.map((label, k) => [label, probabilities[k]!])),
  };
}

/**
 * The same prediction under another prior, without the picture: dividing by the frequencies of one prior and
 * multiplying by those of the other is exact but for the rounding of documents.
 */
export function underPrior(expression: Expression, from: Prior, to: Prior, spec: Frequencies): Expression {
  const [before, after] = [resolvePrior(from, spec)[1], resolvePrior(to, spec)[1]];
  const logits = spec.labels.map((label, k) => {
    const share = Math.max(expression.probabilities[label] ?? 0, TINY);
    return Math.log(share) - (before?.[k] ?? 0) + (after?.[k] ?? 0);
  });
  const changed = scoresOf(logits, spec);
  // A prediction may be uncertain for another reason, such as a covered face.
  const other = expression.uncertain && (expression.probabilities[expression.label] ?? 0) >= spec.uncertain_below;
  return { ...changed, uncertain: changed.uncertain || other };
}

function softmax(values: readonly number[]): number[] {
  const top = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - top));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}
