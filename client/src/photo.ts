/** Photographs analyzed on this device by the library mien-web: the same elements as the server's page. */

import type * as library from "../mien-web/src/index";
import type { DeviceAddresses } from "./device";
import { percent } from "./page";
import { toCsv, type Face, type FrameResult } from "./result";

const DETAIL = { one: 1600, several: 480, face: 112 };

/** A photograph as the page shows it; `problem` says why there is no result. */
export interface Shown {
  readonly name: string;
  readonly result?: FrameResult;
  readonly picture?: HTMLCanvasElement;
  readonly problem?: string;
}

/** The library, loaded at the first photograph and kept for the next ones. */
export class PhotoAnalyzer {
  private loaded: Promise<{ mien: library.Mien; draw: typeof library.draw }> | undefined;

  constructor(private readonly addresses: DeviceAddresses) {}

  /** @throws Error this browser cannot run the networks */
  private engine(): NonNullable<typeof this.loaded> {
    this.loaded ??= this.load().catch((error: unknown) => {
      this.loaded = undefined;
      throw error;
    });
    return this.loaded;
  }

  private async load(): Promise<{ mien: library.Mien; draw: typeof library.draw }> {
    const { library: address, runtime, models } = this.addresses;
    const { Mien, draw } = (await import(/* @vite-ignore */ address)) as typeof library;
    return { mien: await Mien.create({ assets: models, runtime }), draw };
  }

  /** The markup of a result; its pictures are addresses of this page. */
  async show(files: readonly File[]): Promise<string> {
    const { mien, draw } = await this.engine();
    const detail = files.length === 1 ? DETAIL.one : DETAIL.several;
    const all: Shown[] = [];
    try {
      for (const file of files) all.push(await analyzed(mien, file, detail));
    } catch (error) {
      this.loaded = undefined;
      throw error;
    }
    const [only] = all;
    return files.length === 1 && only ? single(only, draw) : gallery(all, draw);
  }
}

async function analyzed(mien: library.Mien, file: File, detail: number): Promise<Shown> {
  const { name } = file;
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return { name, problem: `${name} is no picture that this browser can decode. The server reads more formats.` };
  try {
    const result = { ...(await mien.analyze(image, { landmarks: true })), source: name };
    return { name, result, picture: part(image, [0, 0, image.width, image.height], detail) };
  } finally {
    image.close();
  }
}

/** A part of an image, with its longer side reduced to `longest` pixels. */
function part(image: CanvasImageSource, [x, y, wide, high]: readonly [number, number, number, number], longest: number): HTMLCanvasElement {
  const scale = Math.min(1, longest / Math.max(wide, high));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(wide * scale));
  canvas.height = Math.max(1, Math.round(high * scale));
  canvas.getContext("2d")?.drawImage(image, x, y, wide, high, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function address(canvas: HTMLCanvasElement): Promise<string> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  return blob ? URL.createObjectURL(blob) : "";
}

async function annotated(picture: HTMLCanvasElement, result: FrameResult, draw: typeof library.draw): Promise<string> {
  const copy = part(picture, [0, 0, picture.width, picture.height], DETAIL.one);
  const layer = part(picture, [0, 0, picture.width, picture.height], DETAIL.one);
  draw(layer, withoutPoints(result));
  copy.getContext("2d")?.drawImage(layer, 0, 0);
  return address(copy);
}

async function single({ name, result, picture, problem }: Shown, draw: typeof library.draw): Promise<string> {
  if (!result || !picture) return notice(problem ?? "");
  const [wide, high] = result.image_size_wh;
  const { faces } = result;
  const scale = picture.width / wide;
  const thumbnails = await Promise.all(
    faces.map(({ box: { x_min, y_min, x_max, y_max } }) => {
      const side = 1.3 * Math.max(x_max - x_min, y_max - y_min);
      const corner = [(x_min + x_max - side) / 2, (y_min + y_max - side) / 2];
      return address(part(picture, [corner[0]! * scale, corner[1]! * scale, side * scale, side * scale], DETAIL.face));
    }),
  );
  const boxes = faces.map(({ box: b }) => `<rect x="${b.x_min}" y="${b.y_min}" width="${b.x_max - b.x_min}" height="${b.y_max - b.y_min}"/>`);
  const took = Object.values(result.timings_ms).reduce((sum, ms) => sum + ms, 0);
  return `<section class="result${wide > 1.6 * high || faces.length > 3 ? " wide" : ""}" aria-label="Result" data-result>
    <figure class="picture">
      <svg class="photo" viewBox="0 0 ${wide} ${high}" role="group" aria-label="${escaped(name)}">
        <defs><clipPath id="inside">${boxes.join("")}</clipPath>
        <filter id="blur" x="0" y="0" width="1" height="1"><feGaussianBlur stdDeviation="${(Math.max(wide, high) / 60).toFixed(1)}"/></filter></defs>
        <image id="pixels" href="${await address(picture)}" width="${wide}" height="${high}" preserveAspectRatio="none"/>
        <g class="blurred" clip-path="url(#inside)"><use href="#pixels" filter="url(#blur)"/></g>
        ${faces.map((face, k) => mark(face, k + 1, Math.max(wide, high))).join("")}
      </svg>
      <figcaption>
        <span class="toggles" data-toggles hidden>
          <label class="check"><input type="checkbox" data-show="boxes" checked> Boxes</label>
          <label class="check"><input type="checkbox" data-show="mesh"> Landmarks</label>
          <label class="check"><input type="checkbox" data-show="blur"> Blur faces</label>
        </span>
        <span>${wide} × ${high} px</span><span>${took.toFixed(0)} ms on this device</span>
        <a href="${await annotated(picture, result, draw)}" download="annotated.jpg">Download image</a>
      </figcaption>
    </figure>
    <div class="found">
      <h2 aria-live="polite">${["No faces found", "1 face"][faces.length] ?? `${faces.length} faces`}</h2>
      ${faces.length ? "" : '<p class="muted">Very small, turned or covered faces may be missed.</p>'}
      ${faces.map((face, k) => card(face, k + 1, thumbnails[k]!)).join("")}
      <details class="card json"><summary>JSON</summary><pre tabindex="0">${escaped(JSON.stringify(withoutPoints(result), null, 2))}</pre></details>
    </div>
  </section>`;
}

function mark({ box, expression, landmarks }: Face, index: number, longest: number): string {
  const { x_min: x, y_min: y } = box;
  const wide = box.x_max - x;
  const size = Math.max(longest / 34, wide / 3);
  const points = (landmarks?.points ?? []).map(([u, v]) => `M${u!.toFixed(1)} ${v!.toFixed(1)}h0`);
  return `<a class="face-mark x-${expression?.label ?? "neutral"}" href="#face-${index}" data-face="${index}" aria-label="Face ${index}${expression ? `: ${expression.label}` : ""}">
    <rect x="${x}" y="${y}" width="${wide}" height="${box.y_max - y}" rx="${wide / 8}"/><path class="mesh" d="${points.join("")}"/>
    <circle cx="${x}" cy="${y}" r="${size / 2}"/><text x="${x}" y="${y}" font-size="${0.62 * size}" dy="0.36em">${index}</text></a>`;
}

function card(face: Face, index: number, thumbnail: string): string {
  const { expression, quality, affect } = face;
  const bars = Object.entries(expression?.probabilities ?? {}).map(
    ([label, share]) => `<li><span class="bar-label">${label}</span><svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="8"/><rect class="x-${label}" width="${(100 * share).toFixed(2)}" height="8"/></svg><span class="bar-value">${percent(share)}</span></li>`,
  );
  const facts: [string, string][] = [["Detection score", face.score.toFixed(2)]];
  if (quality) {
    facts.push(["Size", `${quality.size_px.toFixed(0)} px`]);
    const angles = [quality.yaw_deg, quality.pitch_deg, quality.roll_deg];
    if (quality.yaw_deg != null) facts.push(["Yaw, pitch, roll", angles.map((angle) => `${(angle ?? 0).toFixed(0)}°`).join(", ")]);
    if (quality.sharpness != null) facts.push(["Sharpness", quality.sharpness.toFixed(2)]);
    if (quality.brightness != null) facts.push(["Brightness", quality.brightness.toFixed(2)]);
  }
  const signed = (value: number): string => (value < 0 ? "" : "+") + value.toFixed(2);
  if (affect) facts.push(["Valence, arousal", `${signed(affect.valence)}, ${signed(affect.arousal)} (${affect.method})`]);
  const warning = notes(face);
  const name = expression?.label ?? "";
  return `<article class="card face" id="face-${index}" data-face="${index}" tabindex="-1"${name && ` data-expression="${name}"`}>
    <header><img class="thumb" src="${thumbnail}" alt="" width="56" height="56">
      <div><p class="eyebrow">Face ${index}</p><h3>${expression ? `${dot(name)}${name}${expression.uncertain ? '<span class="uncertain"> ?</span>' : ""}` : "no expression"}</h3></div>
      ${expression ? `<p class="big-value">${percent(expression.probabilities[name] ?? 0)}</p>` : ""}
    </header>
    ${expression ? `<ul class="bars">${bars.join("")}</ul>` : ""}
    ${warning && `<p class="warning">${warning}</p>`}
    <details><summary>Measurements</summary><dl class="facts">${facts.map(([title, value]) => `<div><dt>${title}</dt><dd>${value}</dd></div>`).join("")}</dl></details>
  </article>`;
}

async function gallery(all: readonly Shown[], draw: typeof library.draw): Promise<string> {
  const table = toCsv(all.flatMap(({ result }) => result ?? []).map(withoutPoints));
  const pictures = await Promise.all(
    all.map(async ({ name, result, picture, problem }) => {
      const shown = result && picture
        ? `<img src="${await annotated(picture, result, draw)}" alt="${escaped(name)}, a box around each face">`
        : notice(problem ?? "");
      return `<li class="card">${shown}<h3>${escaped(name)}</h3></li>`;
    }),
  );
  const rows = all.flatMap(({ name, result }) => {
    if (!result) return [];
    if (!result.faces.length) return `<tr><td>${escaped(name)}</td><td colspan="4">no faces</td></tr>`;
    return result.faces.map((face, k) => {
      const label = face.expression?.label;
      const share = label === undefined ? "" : percent(face.expression?.probabilities[label] ?? 0);
      return `<tr><td>${escaped(name)}</td><td>${k + 1}</td><td>${label ? `${dot(label)} ${label}` : ""}</td><td>${share}</td><td>${notes(face)}</td></tr>`;
    });
  });
  const file = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  const titles = ["Photo", "Face", "Expression", "Probability", "Notes"].map((title) => `<th scope="col">${title}</th>`);
  return `<section class="stack-wide" aria-labelledby="gallery" data-result>
    <div class="row spread"><h2 id="gallery">${all.length} photos</h2><a class="button primary" href="${file}" download="faces.csv">Download table, CSV</a></div>
    <ul class="gallery">${pictures.join("")}</ul>
    <div class="card scroll" tabindex="0" role="region" aria-label="Faces"><table><thead><tr>${titles.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>
  </section>`;
}

function notes({ expression, quality }: Face): string {
  const reasons = quality?.reasons.length ? `Low confidence: ${quality.reasons.join(", ").replaceAll("_", " ")}.` : "";
  return `${expression?.uncertain ? "Uncertain. " : ""}${reasons}`.trim();
}

function dot(label: string): string {
  return `<svg class="dot" viewBox="0 0 10 10" aria-hidden="true"><circle class="x-${label}" cx="5" cy="5" r="5"/></svg>`;
}

function notice(text: string): string {
  return `<div class="notice bad" role="alert" data-result><p>${escaped(text)}</p></div>`;
}

/** Points are drawn, but are too many to read. */
function withoutPoints(result: FrameResult): FrameResult {
  const faces = result.faces.map(({ landmarks, ...face }) => {
    if (!landmarks) return { ...face, landmarks };
    const { points: _, ...rest } = landmarks;
    return { ...face, landmarks: rest };
  });
  return { ...result, faces };
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (sign) => names[sign]!);
}
