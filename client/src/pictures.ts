/** Pictures as canvases: parts of them, their addresses, and results drawn over them. */

import { draw } from "../mien-web/src/draw";
import { withoutPoints } from "./cards";
import { markText } from "./draw";
import { find } from "./page";
import type { FrameResult } from "./result";

const LONGEST_PX = 1600;
type Picture = CanvasImageSource & { readonly width: number; readonly height: number };

/** A part of an image, with its longer side reduced to `longest` pixels. */
export function part(image: CanvasImageSource, [x, y, wide, high]: readonly [number, number, number, number], longest: number): HTMLCanvasElement {
  const scale = Math.min(1, longest / Math.max(wide, high));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(wide * scale));
  canvas.height = Math.max(1, Math.round(high * scale));
  canvas.getContext("2d")?.drawImage(image, x, y, wide, high, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The address of what a canvas shows, as JPEG. */
export async function address(canvas: HTMLCanvasElement): Promise<string> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  return blob ? URL.createObjectURL(blob) : "";
}

/** The address of a picture with the boxes and labels of its result. */
export async function annotated(picture: Picture, result: FrameResult): Promise<string> {
  const whole = [0, 0, picture.width, picture.height] as const;
  const [copy, layer] = [part(picture, whole, LONGEST_PX), part(picture, whole, LONGEST_PX)];
  draw(layer, withoutPoints(result), { label: markText });
  copy.getContext("2d")?.drawImage(layer, 0, 0);
  return address(copy);
}

/** The server draws with a font that has not all languages; the browser's has. */
export async function drawInLanguage(shown: HTMLElement): Promise<void> {
  const link = find<HTMLAnchorElement>("[data-annotated]", shown);
  const result = JSON.parse(find("[data-json]", shown).textContent || "null") as FrameResult | null;
  if (document.documentElement.lang === "en" || !link.href.startsWith("data:") || !result) return;
  link.href = await annotated(await pictureOf(shown), result);
}

/** The picture of a result that is on the page. */
export async function pictureOf(shown: HTMLElement): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = find<SVGImageElement>("svg.photo image", shown).href.baseVal;
  await image.decode();
  return image;
}
