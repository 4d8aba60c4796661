/** The timeline of one person, drawn with uPlot. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Series } from "./history";
import { clock, expressionColor, percent, themeColor } from "./page";
import type { Face } from "./result";

const HEIGHT = 220;
const REDRAW_MS = 120;
const WINDOW_S = 60;
const SWITCH_AFTER_S = 3;
const SECONDS = [1, 2, 5, 10, 15, 30, 60];

export class Timeline {
  private readonly series = new Map<number, Series>();
  private plot: uPlot | undefined;
  private shown: number | undefined;
  private drawnAt = 0;
  private selectedByUser = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly container: HTMLElement,
    private readonly legend: HTMLElement,
    private readonly select: HTMLSelectElement,
  ) {
    select.addEventListener("change", () => {
      this.selectedByUser = true;
      this.show(Number(select.value));
    });
    new ResizeObserver(() => this.resize()).observe(container);
    addEventListener("themechange", () => this.rebuild());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  add(faces: readonly Face[], timeS: number, nowMs: number): void {
    for (const { track_id: id, expression } of faces) {
      if (id === null || !expression) continue;
      let series = this.series.get(id);
      if (!series) {
        series = new Series(Object.keys(expression.probabilities));
        this.series.set(id, series);
        this.select.add(new Option(String(id), String(id)));
        if (this.shown === undefined) this.show(id);
      }
      series.add(timeS, expression.probabilities);
    }
    this.switchToVisible(faces, timeS);
    if (nowMs - this.drawnAt > REDRAW_MS) {
      this.drawnAt = nowMs;
      this.draw();
    }
  }

  /** Switch to a visible person when the shown one has left, unless the user selected them. */
  private switchToVisible(faces: readonly Face[], timeS: number): void {
    const lastS = this.current()?.times.at(-1);
    if (this.selectedByUser || lastS === undefined || timeS - lastS < SWITCH_AFTER_S) return;
    const present = faces.find((face) => face.track_id !== null && this.series.has(face.track_id));
    if (present?.track_id != null) this.show(present.track_id);
  }

  clear(): void {
    this.selectedByUser = false;
    this.series.clear();
    this.select.replaceChildren();
    this.shown = undefined;
    this.plot?.destroy();
    this.plot = undefined;
    this.root.hidden = true;
  }

  private show(id: number): void {
    this.shown = id;
    this.select.value = String(id);
    this.root.hidden = false;
    this.rebuild();
  }

  private rebuild(): void {
    const series = this.current();
    if (!series) return;
    this.plot?.destroy();
    const muted = themeColor("muted");
    const line = themeColor("line");
    const axis: uPlot.Axis = {
      stroke: muted,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      font: "11px Inter, ui-sans-serif, system-ui, sans-serif",
    };
    this.plot = new uPlot(
      {
        width: Math.max(200, this.container.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { time: false }, y: { range: [-0.02, 1.02] } },
        axes: [
          { ...axis, incrs: SECONDS, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 44, values: (_, ticks) => ticks.map(percent), splits: [0, 0.5, 1] },
        ],
        series: [
          {},
          ...series.labels.map((label) => ({
            label,
            stroke: expressionColor(label),
            width: 2,
            points: { show: false },
          })),
        ],
      },
      this.data(series),
      this.container,
    );
    this.legend.replaceChildren(...series.labels.map(legendEntry));
    this.draw();
  }

  private draw(): void {
    const series = this.current();
    if (!this.plot || !series) return;
    this.plot.setData(this.data(series), false);
    const last = series.times.at(-1) ?? 0;
    this.plot.setScale("x", { min: Math.max(0, last - WINDOW_S), max: Math.max(last, 10) });
  }

  private data(series: Series): uPlot.AlignedData {
    return [series.times, ...series.labels.map((label) => series.values.get(label) ?? [])];
  }

  private current(): Series | undefined {
    return this.shown === undefined ? undefined : this.series.get(this.shown);
  }

  private resize(): void {
    const width = this.container.clientWidth;
    if (width > 0) this.plot?.setSize({ width, height: HEIGHT });
  }
}

function legendEntry(label: string): HTMLLIElement {
  const item = document.createElement("li");
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  dot.setAttribute("class", "dot");
  dot.setAttribute("viewBox", "0 0 10 10");
  dot.setAttribute("aria-hidden", "true");
  const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  for (const name of ["cx", "cy", "r"]) circle.setAttribute(name, "5");
  circle.setAttribute("class", `x-${label}`);
  dot.append(circle);
  item.append(dot, label);
  return item;
}
