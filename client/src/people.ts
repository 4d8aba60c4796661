/** A card for each person in view: the smoothed label, and a bar for each expression. */

import { percent } from "./page";
import type { Face } from "./result";

const SVG = "http://www.w3.org/2000/svg";
const REMOVE_AFTER_MS = 2500;
/** Name and text of each signal; null if it was not measured. */
const SIGNALS: readonly [string, (face: Face) => string | null][] = [
  ["Facing the camera", ({ signals }) => fraction(signals?.facing)],
  ["Eyes", ({ track, signals }) => signals?.eye_opening_left == null || !track
    ? null : track.eyes_closed_s > 0 ? `closed ${track.eyes_closed_s.toFixed(1)} s` : "open"],
  ["Mouth open", ({ signals }) => fraction(signals?.mouth_opening)],
  ["Blinks", ({ track }) => track?.blinks == null ? null : String(track.blinks)],
  ["Yawns", ({ track }) => track?.yawns == null ? null : String(track.yawns)],
  ["Valence", ({ affect }) => signed(affect?.valence)],
  ["Arousal", ({ affect }) => signed(affect?.arousal)],
];

interface Card {
  root: HTMLElement;
  title: HTMLElement;
  value: HTMLElement;
  warning: HTMLElement;
  signals: HTMLElement[];
  dot: SVGElement;
  bars: Map<string, { fill: SVGElement; value: HTMLElement }>;
  seenAt: number;
}

export class PeopleView {
  private readonly cards = new Map<number, Card>();

  constructor(
    private readonly root: HTMLElement,
    private readonly placeholder: HTMLElement,
  ) {}

  show(faces: readonly Face[], nowMs: number): void {
    for (const face of faces) {
      if (face.track_id === null || !face.expression) continue;
      let card = this.cards.get(face.track_id);
      if (!card) {
        card = this.makeCard(face.track_id, Object.keys(face.expression.probabilities));
        this.cards.set(face.track_id, card);
        this.root.append(card.root);
      }
      card.seenAt = nowMs;
      fillCard(card, face);
    }
    for (const [id, card] of this.cards) {
      if (nowMs - card.seenAt > REMOVE_AFTER_MS) {
        card.root.remove();
        this.cards.delete(id);
      }
    }
    this.placeholder.hidden = this.cards.size > 0;
  }

  clear(): void {
    for (const card of this.cards.values()) card.root.remove();
    this.cards.clear();
    this.placeholder.hidden = false;
  }

  private makeCard(trackId: number, labels: readonly string[]): Card {
    const root = element("article", "card face person");
    root.dataset["track"] = String(trackId);
    const header = element("header");
    const middle = element("div");
    const eyebrow = element("p", "eyebrow", `Person ${trackId}`);
    const title = element("h2");
    const dot = svg("svg", { viewBox: "0 0 10 10", class: "dot", "aria-hidden": "true" });
    const circle = svg("circle", { cx: "5", cy: "5", r: "5" });
    dot.append(circle);
    const name = element("span");
    title.append(dot, name);
    middle.append(eyebrow, title);
    const value = element("p", "big-value");
    header.append(middle, value);
    const list = element("ul", "bars");
    const bars: Card["bars"] = new Map();
    for (const label of labels) {
      const item = element("li");
      const bar = svg("svg", {
        viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true",
      });
      const fill = svg("rect", { height: "8", width: "0", class: `x-${label}` });
      bar.append(svg("rect", { width: "100", height: "8", class: "track" }), fill);
      const barValue = element("span", "bar-value");
      item.append(element("span", "bar-label", label), bar, barValue);
      list.append(item);
      bars.set(label, { fill, value: barValue });
    }
    const warning = element("p", "warning");
    const more = element("details");
    const facts = element("dl", "facts");
    const signals = SIGNALS.map(([title]) => {
      const pair = element("div");
      const shown = element("dd");
      pair.append(element("dt", "", title), shown);
      facts.append(pair);
      return shown;
    });
    more.append(element("summary", "", "Signals"), facts);
    root.append(header, list, warning, more);
    return { root, title: name, value, warning, signals, dot: circle, bars, seenAt: 0 };
  }
}

function fillCard(card: Card, face: Face): void {
  const { expression, quality } = face;
  if (!expression) return;
  card.root.dataset["expression"] = expression.label;
  card.title.textContent = expression.label + (expression.uncertain ? " ?" : "");
  card.value.textContent = percent(expression.probabilities[expression.label] ?? 0);
  card.dot.setAttribute("class", `x-${expression.label}`);
  for (const [label, bar] of card.bars) {
    const probability = expression.probabilities[label] ?? 0;
    bar.fill.setAttribute("width", (100 * probability).toFixed(1));
    bar.value.textContent = percent(probability);
  }
  SIGNALS.forEach(([, text], index) => {
    const shown = card.signals[index];
    if (shown) shown.textContent = text(face) ?? "–";
  });
  const reasons = quality?.reasons ?? [];
  card.warning.textContent = reasons.length
    ? `Low confidence: ${reasons.join(", ").replaceAll("_", " ")}.`
    : expression.uncertain ? "Uncertain." : "";
  card.warning.hidden = !card.warning.textContent;
}

function fraction(value: number | null | undefined): string | null {
  return value == null ? null : percent(Math.min(1, Math.max(0, value)));
}

function signed(value: number | null | undefined): string | null {
  return value == null ? null : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

function element(tag: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
