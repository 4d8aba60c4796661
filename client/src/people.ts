/** The people in view: a lane for each, and a card with a bar for each expression of one of them. */

import { colorClass } from "./page";
import type { Face, FrameResult } from "./result";
import { decimal, labelText, list, percent, t, word } from "./words";

const SVG = "http://www.w3.org/2000/svg";
const REMOVE_AFTER_MS = 2500;
/** Name and text of each signal; null if it was not measured, and not shown before it was. */
const SIGNALS: readonly [string, (face: Face) => string | null][] = [
  [t("Facing the camera"), ({ signals }) => fraction(signals?.facing)],
  [t("Eyes"), ({ track }) => track?.eyes_closed_s == null
    ? null : track.eyes_closed_s > 0 ? t("closed %(seconds)s s", { seconds: decimal(track.eyes_closed_s) }) : t("open")],
  [t("Mouth open"), ({ signals }) => fraction(signals?.mouth_opening)],
  [t("Blinks"), ({ track }) => track?.blinks == null ? null : String(track.blinks)],
  [t("Yawns"), ({ track }) => track?.yawns == null ? null : String(track.yawns)],
  [t("Valence"), ({ affect }) => signed(affect?.valence)],
  [t("Arousal"), ({ affect }) => signed(affect?.arousal)],
];

/** Grounds of the numbers of people, on which white text is readable. */
const PERSON_COLORS = [
  "#1d6a67", "#8a3d9d", "#a04000", "#2456a6", "#a02450", "#4d6b00", "#5b4bb5", "#6b5200",
] as const;

/** The color that a person has on the picture, in the list and above the timeline. */
export function personColor(trackId: number): string {
  return PERSON_COLORS[(trackId - 1 + 8000) % PERSON_COLORS.length] ?? PERSON_COLORS[0];
}

/** A person's number on their color. */
export function personBadge(trackId: number): HTMLElement {
  const badge = element("span", "number", String(trackId));
  badge.style.setProperty("--person", personColor(trackId));
  return badge;
}

/** The clear expressions of a result, for screen readers. */
export function announcement(result: FrameResult): string {
  return result.faces
    .filter((face) => face.expression && !face.expression.uncertain)
    .map((face) => t("Person %(id)s: %(event)s", { id: face.track_id ?? "", event: labelText(face.expression?.label ?? "") }))
    .join(t(", "));
}

interface Lane {
  root: HTMLButtonElement;
  /** 0 where the lane is empty, and waits for the next person. */
  trackId: number;
  badge: HTMLElement;
  title: HTMLElement;
  value: HTMLElement;
  strip: Map<string, SVGElement>;
  seenAt: number;
}

interface Card {
  root: HTMLElement;
  badge: HTMLElement;
  title: HTMLElement;
  value: HTMLElement;
  warning: HTMLElement;
  signals: HTMLElement[];
  dot: SVGElement;
  bars: Bars;
  movements: HTMLDetailsElement;
  gaze: SVGElement;
  gazeText: HTMLElement;
  units: Bars;
  unitList: HTMLElement;
  shapes: Bars;
  shapeList: HTMLElement;
}

type Bars = Map<string, { fill: SVGElement; value: HTMLElement }>;

/**
 * A lane for each person in view, and above the lanes a card of the chosen one.
 *
 * A lane keeps its place while its person is in view; the next person gets the first empty one. So
 * nothing on the page moves when people come and go.
 */
export class PeopleView {
  private readonly lanes: Lane[] = [];
  private readonly list = element("div", "lanes");
  private card: Card | undefined;
  private chosen: number | undefined;

  constructor(
    root: HTMLElement,
    private readonly placeholder: HTMLElement,
    private readonly onChoose: (trackId: number) => void = () => undefined,
  ) {
    root.append(this.list);
  }

  /** @param chosen the person whose card is shown */
  show(faces: readonly Face[], nowMs: number, chosen: number | undefined): void {
    this.chosen = chosen;
    for (const face of faces) {
      if (face.track_id === null || !face.expression) continue;
      const lane = this.laneOf(face.track_id, Object.keys(face.expression.probabilities));
      lane.seenAt = nowMs;
      fillLane(lane, face);
      lane.root.ariaPressed = String(face.track_id === chosen);
      if (face.track_id === chosen) this.fillCard(face);
    }
    for (const lane of this.lanes) {
      if (lane.trackId && nowMs - lane.seenAt > REMOVE_AFTER_MS) emptyLane(lane);
    }
    const present = this.lanes.some((lane) => lane.trackId !== 0 && lane.trackId === chosen);
    this.card?.root.classList.toggle("gone", !present);
    while (this.lanes.at(-1)?.trackId === 0) this.lanes.pop()?.root.remove();
    this.placeholder.hidden = this.card !== undefined || this.lanes.length > 0;
  }

  /** The card that is shown, and whose it is. */
  get chosenCard(): { root: HTMLElement | undefined; trackId: number | undefined } {
    return { root: this.card?.root, trackId: this.chosen };
  }

  /** Choose the next person in view, or the previous one. */
  step(by: 1 | -1): void {
    const present = this.lanes.map((lane) => lane.trackId).filter(Boolean);
    if (!present.length) return;
    const at = present.indexOf(this.chosen ?? 0);
    const next = present[(at + by + present.length) % present.length];
    if (next !== undefined) this.onChoose(next);
  }

  clear(): void {
    this.list.replaceChildren();
    this.lanes.length = 0;
    this.card?.root.remove();
    this.card = undefined;
    this.placeholder.hidden = false;
  }

  private laneOf(trackId: number, labels: readonly string[]): Lane {
    const known = this.lanes.find((lane) => lane.trackId === trackId);
    if (known) return known;
    let lane = this.lanes.find((candidate) => candidate.trackId === 0);
    if (!lane) {
      lane = makeLane(labels);
      const { root } = lane;
      const made = lane;
      root.addEventListener("click", () => this.onChoose(made.trackId));
      this.lanes.push(lane);
      this.list.append(root);
    }
    lane.trackId = trackId;
    lane.root.dataset["track"] = String(trackId);
    lane.root.classList.add("person");
    lane.badge.replaceWith((lane.badge = personBadge(trackId)));
    return lane;
  }

  private fillCard(face: Face): void {
    if (!this.card) {
      this.card = this.makeCard(Object.keys(face.expression?.probabilities ?? {}));
      this.list.before(this.card.root);
    }
    fillCard(this.card, face);
  }

  private makeCard(labels: readonly string[]): Card {
    const root = element("article", "card face chosen");
    const header = element("header");
    const middle = element("div");
    const title = element("h2");
    const dot = svg("svg", { viewBox: "0 0 10 10", class: "dot", "aria-hidden": "true" });
    const circle = svg("circle", { cx: "5", cy: "5", r: "5" });
    dot.append(circle);
    const name = element("span");
    name.dataset.label = ""; // has a capital, as on the other pages
    title.append(dot, name);
    middle.append(title);
    const value = element("p", "big-value");
    const badge = element("span", "number");
    header.append(badge, middle, value);
    const list = element("ul", "bars");
    const bars: Bars = new Map();
    for (const label of labels) addBar(list, bars, label, labelText(label), colorClass(label));
    const warning = element("p", "warning");
    const more = element("details");
    const facts = element("dl", "facts");
    const signals = SIGNALS.map(([title]) => {
      const pair = element("div");
      pair.hidden = true;
      const shown = element("dd");
      pair.append(element("dt", "", title), shown);
      facts.append(pair);
      return shown;
    });
    more.append(element("summary", "", t("Signals")), facts);
    const movements = makeMovements();
    root.append(header, list, warning, more, movements.movements);
    return { root, badge, title: name, value, warning, signals, dot: circle, bars, ...movements };
  }
}

type Movements = Pick<
  Card, "movements" | "gaze" | "gazeText" | "units" | "unitList" | "shapes" | "shapeList"
>;

/** Gaze, action units and, on demand, blendshapes; hidden where they are not measured. */
function makeMovements(): Movements {
  const movements = document.createElement("details");
  movements.className = "movements";
  movements.hidden = true;
  const picture = svg("svg", { viewBox: "-50 -50 100 100", class: "gaze", "aria-hidden": "true" });
  const gaze = svg("path", {});
  picture.append(svg("circle", { r: "46" }), gaze);
  const gazeText = element("span");
  const direction = element("p", "row");
  direction.append(picture, gazeText);
  const unitList = element("ul", "bars");
  const shapes = element("details");
  const shapeList = element("ul", "bars shapes");
  shapes.append(element("summary", "", t("Blendshapes")), shapeList);
  movements.append(element("summary", "", t("Movements")), direction, unitList, shapes);
  return {
    movements, gaze, gazeText, units: new Map(), unitList, shapes: new Map(), shapeList,
  };
}

function fillMovements(card: Card, { gaze, action_units: units, blendshapes }: Face): void {
  card.movements.hidden = !units;
  if (!units || !card.movements.open) return;
  const yaw = gaze ? gaze.yaw_deg * Math.PI / 180 : 0;
  const pitch = gaze ? gaze.pitch_deg * Math.PI / 180 : 0;
  const tip = [44 * Math.sin(yaw) * Math.cos(pitch), -44 * Math.sin(pitch)];
  card.gaze.setAttribute("d", gaze ? `M0 0L${tip.map((at) => at.toFixed(1)).join(" ")}` : "");
  card.gazeText.textContent = gaze
    ? t("Gaze %(yaw)s° %(side)s in the image, %(pitch)s° %(height)s", {
      yaw: Math.abs(gaze.yaw_deg).toFixed(0),
      side: gaze.yaw_deg < 0 ? t("left") : t("right"),
      pitch: Math.abs(gaze.pitch_deg).toFixed(0),
      height: gaze.pitch_deg < 0 ? t("down") : t("up"),
    })
    : t("Gaze not seen");
  fillBars(card.unitList, card.units, units);
  const wanted = card.shapeList.parentElement;
  if (wanted instanceof HTMLDetailsElement && wanted.open) {
    fillBars(card.shapeList, card.shapes, blendshapes ?? {});
  }
}

function fillBars(list: HTMLElement, bars: Bars, values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) {
    const { fill, value: text } = bars.get(name) ?? addBar(list, bars, name, name, "move");
    fill.setAttribute("width", (100 * value).toFixed(1));
    text.textContent = decimal(value, 2);
  }
  for (const [name, { fill, value }] of bars) {
    if (name in values) continue;
    fill.setAttribute("width", "0");
    value.textContent = "–";
  }
}

function addBar(
  list: HTMLElement, bars: Bars, name: string, text: string, fillClass: string,
): { fill: SVGElement; value: HTMLElement } {
  const item = element("li");
  const bar = svg("svg", {
    viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true",
  });
  const fill = svg("rect", { height: "8", width: "0", class: fillClass });
  bar.append(svg("rect", { width: "100", height: "8", class: "track" }), fill);
  const value = element("span", "bar-value");
  item.append(element("span", "bar-label", text), bar, value);
  list.append(item);
  bars.set(name, { fill, value });
  return { fill, value };
}

function makeLane(labels: readonly string[]): Lane {
  const root = document.createElement("button");
  root.type = "button";
  root.className = "lane-button";
  const badge = element("span", "number");
  const title = element("span", "lane-label");
  const value = element("span", "bar-value");
  const bar = svg("svg", {
    viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true",
  });
  const strip: Lane["strip"] = new Map();
  for (const label of labels) {
    const part = svg("rect", { height: "8", width: "0", class: colorClass(label) });
    bar.append(part);
    strip.set(label, part);
  }
  root.append(badge, title, bar, value);
  return { root, trackId: 0, badge, title, value, strip, seenAt: 0 };
}

function fillLane(lane: Lane, { expression }: Face): void {
  if (!expression) return;
  lane.root.dataset["expression"] = expression.label;
  lane.title.textContent = labelText(expression.label) + (expression.uncertain ? " ?" : "");
  lane.value.textContent = percent(expression.probabilities[expression.label] ?? 0);
  let x = 0;
  for (const [label, part] of lane.strip) {
    const width = 100 * (expression.probabilities[label] ?? 0);
    part.setAttribute("x", x.toFixed(1));
    part.setAttribute("width", width.toFixed(1));
    x += width;
  }
}

function emptyLane(lane: Lane): void {
  lane.trackId = 0;
  lane.root.classList.remove("person");
  delete lane.root.dataset["expression"];
  delete lane.root.dataset["track"];
}

function fillCard(card: Card, face: Face): void {
  const { expression, quality } = face;
  if (!expression) return;
  if (card.badge.textContent !== String(face.track_id)) {
    card.badge.replaceWith((card.badge = personBadge(face.track_id ?? 0)));
  }
  card.title.textContent = labelText(expression.label) + (expression.uncertain ? " ?" : "");
  card.value.textContent = percent(expression.probabilities[expression.label] ?? 0);
  card.dot.setAttribute("class", colorClass(expression.label));
  for (const [label, bar] of card.bars) {
    const probability = expression.probabilities[label] ?? 0;
    bar.fill.setAttribute("width", (100 * probability).toFixed(1));
    bar.value.textContent = percent(probability);
  }
  SIGNALS.forEach(([, text], index) => {
    const shown = card.signals[index];
    const value = text(face);
    if (!shown) return;
    shown.textContent = value ?? "–";
    if (value !== null && shown.parentElement) shown.parentElement.hidden = false;
  });
  fillMovements(card, face);
  const reasons = quality?.reasons ?? [];
  card.warning.textContent = reasons.length
    ? t("Low confidence: %(reasons)s.", { reasons: list(reasons.map((reason) => word(reason))) })
    : expression.uncertain ? t("Uncertain.") : "";
}

function fraction(value: number | null | undefined): string | null {
  return value == null ? null : percent(Math.min(1, Math.max(0, value)));
}

function signed(value: number | null | undefined): string | null {
  return value == null ? null : (value < 0 ? "−" : "+") + decimal(Math.abs(value), 2);
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
