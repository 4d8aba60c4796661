/**
 * The timeline of one person, in the form of reports and sessions: probabilities stacked over time
 * without neutral, and below them a ribbon of the held label. Time without results is empty.
 */

import { nearest, Series } from "./history";
import { clock, colorClass, expressionColor, themeColor } from "./page";
import { personBadge } from "./people";
import type { Face } from "./result";
import { labelText, percent, t } from "./words";

const REDRAW_MS = 120;
const WINDOW_S = 60;
const SWITCH_AFTER_S = 3;
const RIBBON_PX = 14;
const AXIS_PX = 16;
const TICKS_S = [1, 2, 5, 10, 15, 30, 60];

export class Timeline {
  private readonly series = new Map<number, Series>();
  private readonly hidden = new Set<string>();
  private readonly canvas = document.createElement("canvas");
  private readonly tooltip = document.createElement("p");
  private shown: number | undefined;
  private drawnAt = 0;
  private chosen = false;
  private pointerX: number | undefined;

  constructor(
    private readonly title: HTMLElement,
    private readonly container: HTMLElement,
    private readonly legend: HTMLElement,
  ) {
    this.tooltip.className = "tooltip";
    this.tooltip.hidden = true;
    container.append(this.canvas, this.tooltip);
    new ResizeObserver(() => this.draw()).observe(container);
    addEventListener("themechange", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    container.addEventListener("pointermove", (event) => this.point(event.offsetX));
    container.addEventListener("pointerleave", () => this.point(undefined));
  }

  /** @returns the person whose timeline is shown */
  add(faces: readonly Face[], timeS: number, nowMs: number): number | undefined {
    for (const { track_id: id, expression } of faces) {
      if (id === null || !expression) continue;
      let series = this.series.get(id);
      if (!series) {
        series = new Series(Object.keys(expression.probabilities));
        this.series.set(id, series);
        if (this.shown === undefined) this.show(id);
      }
      series.add(timeS, expression.probabilities, expression.label, expression.uncertain);
    }
    this.switchToVisible(faces, timeS);
    if (nowMs - this.drawnAt > REDRAW_MS) {
      this.drawnAt = nowMs;
      this.draw();
    }
    return this.shown;
  }

  /** Show a person that the visitor chose. */
  choose(id: number): void {
    this.chosen = true;
    if (this.series.has(id)) this.show(id);
  }

  clear(): void {
    this.chosen = false;
    this.series.clear();
    this.shown = undefined;
    this.title.replaceChildren(t("Timeline"));
    this.legend.replaceChildren();
    this.draw();
  }

  /** Show someone else when the shown person has left, unless the visitor chose them. */
  private switchToVisible(faces: readonly Face[], timeS: number): void {
    const lastS = this.current()?.times.at(-1);
    if (this.chosen || lastS === undefined || timeS - lastS < SWITCH_AFTER_S) return;
    const present = faces.find((face) => face.track_id !== null && this.series.has(face.track_id));
    if (present?.track_id != null) this.show(present.track_id);
  }

  private show(id: number): void {
    this.shown = id;
    this.title.replaceChildren(personBadge(id), ` ${t("Person %(id)s", { id })}`);
    const labels = this.current()?.labels ?? [];
    if (this.legend.childElementCount !== labels.length) {
      this.legend.replaceChildren(...labels.map((label) => this.legendEntry(label)));
    }
    this.draw();
  }

  private legendEntry(label: string): HTMLLIElement {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = '<svg class="dot" viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5"/></svg>';
    button.querySelector("circle")?.setAttribute("class", colorClass(label));
    button.append(labelText(label));
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!this.hidden.delete(label)) this.hidden.add(label);
      button.setAttribute("aria-pressed", String(!this.hidden.has(label)));
      this.draw();
    });
    item.append(button);
    return item;
  }

  private point(x: number | undefined): void {
    this.pointerX = x;
    this.draw();
  }

  private draw(): void {
    const { clientWidth: width, clientHeight: height } = this.container;
    const context = this.canvas.getContext("2d");
    if (!context || !width || !height) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    context.scale(ratio, ratio);
    const series = this.current();
    const endS = Math.max(series?.times.at(-1) ?? 0, 10);
    const startS = Math.max(0, endS - WINDOW_S);
    const toX = (timeS: number) => ((timeS - startS) / (endS - startS)) * width;
    const plotH = height - RIBBON_PX - AXIS_PX - 4;
    drawAxis(context, startS, endS, toX, width, plotH, height);
    if (!series) return;
    const labels = series.labels.filter((label) => label !== "neutral" && !this.hidden.has(label));
    const first = Math.max(0, nearest(series.times, startS) - 1);
    for (const [from, to] of runs(series, first)) {
      stack(context, series, labels, from, to, toX, plotH);
      ribbon(context, series, from, to, toX, plotH + 3);
    }
    this.showTooltip(context, series, startS + ((this.pointerX ?? 0) / width) * (endS - startS), toX, height - AXIS_PX);
  }

  private showTooltip(
    context: CanvasRenderingContext2D, series: Series, timeS: number,
    toX: (timeS: number) => number, bottom: number,
  ): void {
    const index = nearest(series.times, timeS);
    const atS = series.times[index];
    this.tooltip.hidden = this.pointerX === undefined || atS === undefined || Math.abs(atS - timeS) > 1.5;
    if (this.tooltip.hidden || atS === undefined) return;
    const found = series.labels
      .map((label) => [label, series.values.get(label)?.[index] ?? null] as const)
      .filter((pair): pair is readonly [string, number] => pair[1] !== null)
      .sort((a, b) => b[1] - a[1]);
    const top = found.slice(0, 3).map(([label, share]) => `${labelText(label)} ${percent(share)}`);
    this.tooltip.textContent = [clock(atS), ...(top.length ? top : [t("not in view")])].join(" · ");
    context.fillStyle = themeColor("ink");
    context.fillRect(toX(atS) - 0.5, 0, 1, bottom);
  }

  private current(): Series | undefined {
    return this.shown === undefined ? undefined : this.series.get(this.shown);
  }
}

/** Pairs of first and last index of results without a gap between them. */
function* runs(series: Series, first: number): Generator<[number, number]> {
  const known = series.values.get(series.labels[0] ?? "") ?? [];
  let from = -1;
  for (let i = first; i <= known.length; i++) {
    const present = i < known.length && known[i] !== null;
    if (present && from < 0) from = i;
    if (!present && from >= 0) {
      yield [from, i - 1];
      from = -1;
    }
  }
}

function drawAxis(
  context: CanvasRenderingContext2D, startS: number, endS: number,
  toX: (timeS: number) => number, width: number, plotH: number, height: number,
): void {
  context.font = "11px Inter, ui-sans-serif, system-ui, sans-serif";
  context.textBaseline = "bottom";
  const [line, muted] = [themeColor("line"), themeColor("muted")];
  const step = TICKS_S.find((candidate) => (endS - startS) / candidate <= width / 60) ?? 60;
  for (let tick = Math.ceil(startS / step) * step; tick <= endS; tick += step) {
    const x = Math.round(toX(tick));
    context.fillStyle = line;
    context.fillRect(x, 0, 1, plotH);
    context.fillStyle = muted;
    context.textAlign = x < 12 ? "left" : x > width - 12 ? "right" : "center";
    context.fillText(clock(tick), x, height);
  }
  context.fillStyle = line;
  context.fillRect(0, plotH, width, 1);
}

/** Areas in steps over a ground where there are results, as `report/charts.py` draws them. */
function stack(
  context: CanvasRenderingContext2D, series: Series, labels: readonly string[],
  from: number, to: number, toX: (timeS: number) => number, plotH: number,
): void {
  // A value lasts until the next one; the last one is what a line needs.
  const edge = (i: number) => toX(series.times[Math.min(i, to)] ?? 0) + (i > to && from === to ? 1 : 0);
  context.fillStyle = themeColor("line");
  context.fillRect(edge(from), 0, edge(to + 1) - edge(from), plotH);
  const below = new Array<number>(to - from + 1).fill(0);
  const step = (i: number, x: number) => context.lineTo(edge(x), plotH * (1 - (below[i - from] ?? 0)));
  for (const label of labels) {
    const values = series.values.get(label) ?? [];
    context.beginPath();
    for (let i = from; i <= to; i++) {
      step(i, i);
      step(i, i + 1);
    }
    for (let i = to; i >= from; i--) {
      below[i - from] = (below[i - from] ?? 0) + (values[i] ?? 0);
      step(i, i + 1);
      step(i, i);
    }
    context.fillStyle = expressionColor(label);
    context.fill();
  }
}

function ribbon(
  context: CanvasRenderingContext2D, series: Series,
  from: number, to: number, toX: (timeS: number) => number, top: number,
): void {
  for (let i = from; i <= to; ) {
    const label = series.held[i] ?? "";
    const uncertain = series.uncertain[i] ?? false;
    let end = i + 1;
    while (end <= to && series.held[end] === label && (series.uncertain[end] ?? false) === uncertain) end++;
    const left = toX(series.times[i] ?? 0);
    const right = toX(series.times[Math.min(end, to)] ?? 0);
    context.globalAlpha = uncertain ? 0.35 : 1;
    context.fillStyle = expressionColor(label);
    context.fillRect(left, top, Math.max(1, right - left), RIBBON_PX);
    i = end;
  }
  context.globalAlpha = 1;
}
