/** Fills copies of the markup of a photograph's result, which `_faces.html` has once for server and browser. */

import { colorClass, find } from "./page";
import type { Face, FrameResult } from "./result";
import { decimal, labelText, list, percent, t, word } from "./words";

/** A copy of a part of the page's template. */
export function partOf(selector: string): HTMLElement {
  const template = find<HTMLTemplateElement>("template[data-parts]");
  return find(selector, template.content).cloneNode(true) as HTMLElement;
}

/** As many copies of a list's only element as there are values, in its place. */
export function repeat<T>(prototype: Element, values: readonly T[], fill: (copy: Element, value: T, index: number) => void): void {
  const copies = values.map((value, index) => {
    const copy = prototype.cloneNode(true) as Element;
    fill(copy, value, index);
    return copy;
  });
  prototype.replaceWith(...copies);
}

/** The label, the probabilities and the measurements of a face, in a card or a row of the table. */
export function fillFace(card: Element, face: Face): void {
  const { expression } = face;
  write(card, "[data-label]", labelText(expression?.label ?? ""));
  write(card, "[data-top]", expression ? percent(expression.probabilities[expression.label] ?? 0) : "");
  const text = notes(face);
  write(card, "[data-notes]", text);
  if (card.matches("article")) find("[data-notes]", card).hidden = !text;
  show(card, "[data-known]", Boolean(expression));
  show(card, "[data-unknown]", !expression);
  show(card, "[data-uncertain]", Boolean(expression?.uncertain));
  card.querySelector(".dot circle")?.setAttribute("class", colorClass(expression?.label ?? "neutral"));
  if (!card.matches("article")) return;
  if (expression) card.setAttribute("data-expression", expression.label);
  fillBars(find(".bars", card), expression?.probabilities ?? {});
  for (const [name, value] of Object.entries(facts(face))) {
    const row = find(`[data-fact=${name}]`, card);
    row.hidden = value === undefined;
    write(row, "dd", value ?? "");
  }
}

/** The box, the number and, where the points are known, the mesh of a face. */
export function fillMark(mark: Element, { box, expression, landmarks }: Face, index: number, longest: number): void {
  const wide = box.x_max - box.x_min;
  const size = Math.max(longest / 34, wide / 3);
  const number = find("text", mark);
  mark.setAttribute("class", `face-mark ${colorClass(expression?.label ?? "neutral")}`);
  mark.setAttribute("href", `#face-${index}`);
  mark.setAttribute("data-face", String(index));
  mark.setAttribute("aria-label", expression
    ? t("Face %(number)s: %(expression)s", { number: index, expression: labelText(expression.label) })
    : t("Face %(number)s", { number: index }));
  set(find("rect", mark), { x: box.x_min, y: box.y_min, width: wide, height: box.y_max - box.y_min, rx: wide / 8 });
  set(find("circle", mark), { cx: box.x_min, cy: box.y_min, r: size / 2 });
  set(number, { x: box.x_min, y: box.y_min, "font-size": 0.62 * size });
  number.textContent = String(index);
  const points = landmarks?.points;
  if (points) find("path", mark).setAttribute("d", points.map(([u, v]) => `M${u!.toFixed(1)} ${v!.toFixed(1)}h0`).join(""));
}

/** Faces of a result that is on the page, with other probabilities. */
export function changeFaces(shown: HTMLElement, result: FrameResult): void {
  const longest = Math.max(...result.image_size_wh);
  result.faces.forEach((face, k) => {
    fillFace(find(`article[data-face="${k + 1}"]`, shown), face);
    fillMark(find(`a[data-face="${k + 1}"]`, shown), face, k + 1, longest);
  });
  write(shown, "[data-json]", JSON.stringify(withoutPoints(result), null, 2));
}

/** Points are drawn, but are too many to read. */
export function withoutPoints(result: FrameResult): FrameResult {
  const faces = result.faces.map(({ landmarks, ...face }) => {
    if (!landmarks) return { ...face, landmarks };
    const { points: _, ...rest } = landmarks;
    return { ...face, landmarks: rest };
  });
  return { ...result, faces };
}

export function write(root: ParentNode, selector: string, text: string): void {
  const element = root.querySelector(selector);
  if (element) element.textContent = text;
}

export function set(element: Element, values: Readonly<Record<string, string | number>>): void {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, String(value));
}

function show(root: ParentNode, selector: string, shown: boolean): void {
  const element = root.querySelector<HTMLElement>(selector);
  if (element) element.hidden = !shown;
}

function fillBars(list: HTMLElement, probabilities: Readonly<Record<string, number>>): void {
  const found = Object.entries(probabilities);
  list.hidden = !found.length;
  const [prototype, ...others] = list.children;
  for (const other of others) other.remove();
  if (!prototype || !found.length) return;
  repeat(prototype, found, (bar, [label, share]) => {
    write(bar, ".bar-label", labelText(label));
    write(bar, ".bar-value", percent(share));
    set(find("rect.value", bar), { class: `value ${colorClass(label)}`, width: (100 * share).toFixed(2) });
  });
}

function facts({ score, quality, affect }: Face): Record<string, string | undefined> {
  const angles = [quality?.yaw_deg, quality?.pitch_deg, quality?.roll_deg].map((angle) => `${(angle ?? 0).toFixed(0)}°`);
  const signed = (value: number): string => decimal(value, 2, true);
  return {
    score: decimal(score, 2),
    size: quality ? `${quality.size_px.toFixed(0)} px` : undefined,
    pose: quality?.yaw_deg == null ? undefined : angles.join(", "),
    sharpness: quality?.sharpness == null ? undefined : decimal(quality.sharpness, 2),
    brightness: quality?.brightness == null ? undefined : decimal(quality.brightness, 2),
    affect: affect ? `${signed(affect.valence)}, ${signed(affect.arousal)} (${word(affect.method)})` : undefined,
  };
}

function notes({ expression, quality }: Face): string {
  const reasons = quality?.reasons.map((reason) => word(reason)) ?? [];
  const low = reasons.length ? t("Low confidence: %(reasons)s.", { reasons: list(reasons) }) : "";
  return `${expression?.uncertain ? t("Uncertain.") : ""} ${low}`.trim();
}
