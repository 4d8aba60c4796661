/** The prior of a photograph's probabilities, which the page changes without the photograph. */

import { underPrior, type Frequencies, type Prior } from "../mien-web/src/priors";
import { deriveAffect } from "../mien-web/src/signals";
import { changeFaces } from "./cards";
import { find } from "./page";
import { annotated, pictureOf } from "./pictures";
import type { FrameResult } from "./result";

const NAMES: readonly string[] = ["natural", "half", "uniform"];

/** Offer the choice where the model's training frequencies are known, and the result's prior is one of the choices. */
export function offerPriors(shown: HTMLElement): void {
  const control = shown.querySelector<HTMLElement>("[data-prior]");
  const known = shown.dataset["frequencies"];
  const result = JSON.parse(find("[data-json]", shown).textContent || "null") as FrameResult | null;
  const from = result?.models["prior"] ?? "";
  if (!control || !known || !result?.faces.some((face) => face.expression) || !NAMES.includes(from)) return;
  const frequencies = JSON.parse(known) as Frequencies;
  const choice = find<HTMLSelectElement>("select", control);
  const link = find<HTMLAnchorElement>("[data-annotated]", shown);
  const first = link.href;
  control.hidden = false;
  choice.value = from;
  choice.addEventListener("change", () => {
    const changed = choice.value === from ? result : withPrior(result, from as Prior, choice.value as Prior, frequencies);
    changeFaces(shown, changed);
    if (link.href !== first) URL.revokeObjectURL(link.href);
    link.href = first;
    if (changed !== result) void pictureOf(shown).then(async (picture) => {
      link.href = await annotated(picture, changed);
    });
  });
}

function withPrior(result: FrameResult, from: Prior, to: Prior, frequencies: Frequencies): FrameResult {
  const faces = result.faces.map((face) => {
    if (!face.expression) return face;
    const expression = rounded(underPrior(face.expression, from, to, frequencies));
    return { ...face, expression, affect: deriveAffect(expression.probabilities) };
  });
  return { ...result, faces, models: { ...result.models, prior: String(to) } };
}

type Expression = NonNullable<FrameResult["faces"][number]["expression"]>;

/** As in documents. */
function rounded(expression: Expression): Expression {
  const shares = Object.entries(expression.probabilities).map(([label, share]) => [label, Number(share.toFixed(4))]);
  return { ...expression, probabilities: Object.fromEntries(shares) as Record<string, number> };
}
