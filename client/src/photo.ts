/** Photographs analyzed on this device by the library mien-web: the same elements as the server's page. */

import { MAX_MEGAPIXELS } from "../mien-web/src/constants";
import type * as library from "../mien-web/src/index";
import { fillFace, fillMark, partOf, repeat, set, withoutPoints, write } from "./cards";
import { loadMien, type DeviceAddresses } from "./device";
import { find } from "./page";
import { address, annotated, part } from "./pictures";
import { toCsv, type Face, type FrameResult } from "./result";
import { t, tn } from "./words";

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
  private loaded: Promise<library.Mien> | undefined;

  constructor(private readonly addresses: DeviceAddresses) {}

  /** Loads the library while a person chooses a file. */
  prepare(): void {
    this.engine().catch(() => undefined);
  }

  /** @throws Error this browser cannot run the networks */
  private engine(): NonNullable<typeof this.loaded> {
    this.loaded ??= loadMien(this.addresses).catch((error: unknown) => {
      this.loaded = undefined;
      throw error;
    });
    return this.loaded;
  }

  /**
   * The elements of a result; its pictures are addresses of this page.
   *
   * @param onProgress called before each picture with its number
   */
  async show(files: readonly File[], onProgress: (number: number) => void): Promise<HTMLElement> {
    const mien = await this.engine();
    const detail = files.length === 1 ? DETAIL.one : DETAIL.several;
    const all: Shown[] = [];
    try {
      for (const [k, file] of files.entries()) {
        onProgress(k + 1);
        all.push(await analyzed(mien, file, detail));
      }
    } catch (error) {
      mien.dispose();
      this.loaded = undefined;
      throw error;
    }
    const [only] = all;
    return files.length === 1 && only ? single(only, await this.spec()) : gallery(all);
  }

  /** What the expression model says of its training, as JSON. */
  private async spec(): Promise<string> {
    const answer = await fetch(`${this.addresses.models}default.json`).catch(() => null);
    return answer?.ok ? answer.text() : "";
  }
}

async function analyzed(mien: library.Mien, file: File, detail: number): Promise<Shown> {
  const { name } = file;
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return { name, problem: t("%(name)s is no picture that this browser can decode. Choose a JPEG or PNG file.", { name }) };
  const most = MAX_MEGAPIXELS;
  if (image.width * image.height > most * 1e6) {
    image.close();
    return { name, problem: t("%(name)s has more than %(most)s megapixels. Make it smaller.", { name, most }) };
  }
  try {
    const result = { ...(await mien.analyze(image, { landmarks: true })), source: name };
    return { name, result, picture: part(image, [0, 0, image.width, image.height], detail) };
  } finally {
    image.close();
  }
}

async function single({ name, result, picture, problem }: Shown, spec: string): Promise<HTMLElement> {
  if (!result || !picture) return notice(problem ?? "");
  const [wide, high] = result.image_size_wh;
  const { faces } = result;
  const longest = Math.max(wide, high);
  const shown = partOf("section.result");
  shown.classList.toggle("wide", wide > 1.6 * high || faces.length > 3);
  if (spec) shown.dataset["frequencies"] = spec;
  const drawn = find<SVGSVGElement>("svg.photo", shown);
  const scale = 4000 / longest;
  set(drawn, { viewBox: `0 0 ${wide} ${high}`, width: scale * wide, height: scale * high, "aria-label": name });
  set(find("image", drawn), { href: await address(picture), width: wide, height: high });
  set(find("feGaussianBlur", drawn), { stdDeviation: (longest / 60).toFixed(1) });
  repeat(find("a.face-mark", drawn), faces, (mark, face, k) => fillMark(mark, face, k + 1, longest));
  // The faces that are blurred are in the boxes.
  find("clipPath", drawn).append(...[...drawn.querySelectorAll("a > rect")].map((box) => box.cloneNode(true)));
  const thumbnails = await Promise.all(faces.map((face) => thumbnail(face, picture, picture.width / wide)));
  repeat(find("article.face", shown), faces, (card, face, k) => {
    set(card, { id: `face-${k + 1}`, "data-face": k + 1 });
    write(card, "[data-index]", String(k + 1));
    set(find(".thumb", card), { src: thumbnails[k]! });
    fillFace(card, face);
  });
  write(shown, "[data-count]", faces.length ? tn("%(num)s face", "%(num)s faces", faces.length) : t("No faces found"));
  find("[data-none]", shown).hidden = faces.length > 0;
  write(shown, "[data-size]", `${wide} × ${high} px`);
  write(shown, "[data-ms]", Object.values(result.timings_ms).reduce((sum, ms) => sum + ms, 0).toFixed(0));
  write(shown, "[data-json]", JSON.stringify(withoutPoints(result), null, 2));
  set(find("[data-annotated]", shown), { href: await annotated(picture, result) });
  return shown;
}

function thumbnail({ box: { x_min, y_min, x_max, y_max } }: Face, picture: HTMLCanvasElement, scale: number): Promise<string> {
  const side = 1.3 * Math.max(x_max - x_min, y_max - y_min);
  const [left, top] = [(x_min + x_max - side) / 2, (y_min + y_max - side) / 2];
  return address(part(picture, [left * scale, top * scale, side * scale, side * scale], DETAIL.face));
}

async function gallery(all: readonly Shown[]): Promise<HTMLElement> {
  const table = toCsv(all.flatMap(({ result }) => result ?? []).map(withoutPoints));
  const shown = partOf("section[aria-labelledby=gallery]");
  write(shown, "[data-count]", tn("%(num)s photo", "%(num)s photos", all.length));
  set(find("a[download]", shown), { href: URL.createObjectURL(new Blob([table], { type: "text/csv" })) });
  const pictures = await Promise.all(all.map(({ result, picture }) => (result && picture ? annotated(picture, result) : null)));
  repeat(find(".gallery li", shown), all, (item, { name, problem }, k) => {
    write(item, "h3", name);
    write(item, ".notice", problem ?? "");
    const image = find("img", item);
    if (pictures[k]) set(image, { src: pictures[k], alt: t("%(name)s, a box around each face", { name }) });
    (pictures[k] ? find(".notice", item) : image).remove();
  });
  const [row, empty] = shown.querySelectorAll("tbody tr");
  const filled = (name: string, face: Face | undefined, k: number): Element => {
    const copy = (face ? row! : empty!).cloneNode(true) as Element;
    write(copy, "[data-name]", name);
    write(copy, "[data-index]", String(k + 1));
    if (face) fillFace(copy, face);
    return copy;
  };
  const rows = all.flatMap(({ name, result }) => {
    const faces: readonly (Face | undefined)[] = result?.faces.length ? result.faces : [undefined];
    return result ? faces.map((face, k) => filled(name, face, k)) : [];
  });
  find("tbody", shown).replaceChildren(...rows);
  return shown;
}

/** What went wrong, in place of a result. */
export function notice(text: string): HTMLElement {
  const shown = document.createElement("div");
  set(shown, { class: "notice bad", role: "alert", "data-result": "" });
  shown.append(Object.assign(document.createElement("p"), { textContent: text, dir: "auto" }));
  return shown;
}
