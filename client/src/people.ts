/** A card for each person in view: the calm label, and a bar for each expression. */

import { percent } from "./page";
import type { Face } from "./result";

const SVG = "http://www.w3.org/2000/svg";
const LEAVES_AFTER_MS = 2500;

interface Card {
  root: HTMLElement;
  title: HTMLElement;
  value: HTMLElement;
  doubt: HTMLElement;
  dot: SVGElement;
  bars: Map<string, { fill: SVGElement; value: HTMLElement }>;
  seenAt: number;
}

export class PeopleView {
  private readonly cards = new Map<number, Card>();

  constructor(
    private readonly root: HTMLElement,
    private readonly nobody: HTMLElement,
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
      if (nowMs - card.seenAt > LEAVES_AFTER_MS) {
        card.root.remove();
        this.cards.delete(id);
      }
    }
    this.nobody.hidden = this.cards.size > 0;
  }

  clear(): void {
    for (const card of this.cards.values()) card.root.remove();
    this.cards.clear();
    this.nobody.hidden = false;
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
      const share = element("span", "bar-value");
      item.append(element("span", "bar-label", label), bar, share);
      list.append(item);
      bars.set(label, { fill, value: share });
    }
    const doubt = element("p", "doubt");
    root.append(header, list, doubt);
    return { root, title: name, value, doubt, dot: circle, bars, seenAt: 0 };
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
    const share = expression.probabilities[label] ?? 0;
    bar.fill.setAttribute("width", (100 * share).toFixed(1));
    bar.value.textContent = percent(share);
  }
  const reasons = quality?.reasons ?? [];
  card.doubt.textContent = reasons.length
    ? `Look with care: ${reasons.join(", ").replaceAll("_", " ")}.`
    : expression.uncertain ? "Uncertain." : "";
  card.doubt.hidden = !card.doubt.textContent;
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
