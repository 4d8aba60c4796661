/** Draws boxes, labels and landmarks over the video. */

import { expressionColor, saveFile } from "./page";
import { personColor } from "./people";
import type { Face, FrameResult } from "./result";
import { labelText, percent, t } from "./words";

export interface View {
  mirrored: boolean;
  landmarks: boolean;
  /** Parts of the canvas that labels leave free. */
  taken?: readonly Band[];
}

/** Scale and offset that fit an image into a canvas and keep its aspect ratio. */
export function fit(
  imageW: number,
  imageH: number,
  canvasW: number,
  canvasH: number,
): { scale: number; left: number; top: number } {
  const scale = Math.min(canvasW / imageW, canvasH / imageH);
  return { scale, left: (canvasW - imageW * scale) / 2, top: (canvasH - imageH * scale) / 2 };
}

/** Where a label or something else is. */
export interface Band {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const LABEL_PX = 26;

/** The first place for a label that is on the canvas and covers no other one; otherwise the last. */
export function freeTop(tops: readonly number[], left: number, right: number, height: number, others: readonly Band[]): number {
  const covers = (top: number) =>
    others.some((other) => left < other.right && right > other.left && top < other.bottom && top + LABEL_PX > other.top);
  return tops.find((top) => top >= 2 && top + LABEL_PX <= height && !covers(top)) ?? tops.at(-1) ?? 0;
}

export function drawResult(canvas: HTMLCanvasElement, result: FrameResult, view: View): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  context.scale(ratio, ratio);
  const [imageW, imageH] = result.image_size_wh;
  const { scale, left, top } = fit(imageW, imageH, width, height);
  const toCanvasX = (x: number) => (view.mirrored ? width - (left + x * scale) : left + x * scale);
  const toCanvasY = (y: number) => top + y * scale;
  const labels = [...(view.taken ?? [])];
  for (const face of result.faces) {
    const color = expressionColor(face.expression?.label ?? "neutral");
    if (view.landmarks) drawPoints(context, face, toCanvasX, toCanvasY);
    const x = Math.min(toCanvasX(face.box.x_min), toCanvasX(face.box.x_max));
    const y = toCanvasY(face.box.y_min);
    const boxH = (face.box.y_max - face.box.y_min) * scale;
    drawBox(context, x, y, (face.box.x_max - face.box.x_min) * scale, boxH, color, face.expression?.uncertain ?? true);
    drawLabel(context, x, y, boxH, face, color, { width, height }, labels);
  }
}

function drawPoints(
  context: CanvasRenderingContext2D,
  face: Face,
  toCanvasX: (x: number) => number,
  toCanvasY: (y: number) => number,
): void {
  context.fillStyle = "rgb(255 255 255 / 75%)";
  for (const [x = 0, y = 0] of face.landmarks?.points ?? []) {
    context.fillRect(toCanvasX(x) - 0.6, toCanvasY(y) - 0.6, 1.2, 1.2);
  }
}

function drawBox(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  color: string,
  uncertain: boolean,
): void {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(14, width / 6));
  // A dark line below the colored one keeps the box visible on every background.
  context.setLineDash([]);
  context.strokeStyle = "rgb(0 0 0 / 45%)";
  context.lineWidth = 5;
  context.stroke();
  context.setLineDash(uncertain ? [7, 6] : []);
  context.strokeStyle = color;
  context.lineWidth = 2.5;
  context.stroke();
  context.setLineDash([]);
}

/** What is written at a face, in the language of the page. */
export function markText(face: Face): string {
  const { expression } = face;
  if (!expression) return t("face");
  const probability = percent(expression.probabilities[expression.label] ?? 0);
  return `${labelText(expression.label)}${expression.uncertain ? "?" : ""} ${probability}`;
}

function drawLabel(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  boxH: number,
  face: Face,
  color: string,
  canvas: { width: number; height: number },
  others: Band[],
): void {
  const text = markText(face);
  const number = face.track_id === null ? "" : String(face.track_id);
  context.font = "600 14px Inter, ui-sans-serif, system-ui, sans-serif";
  const numberW = number ? Math.max(26, context.measureText(number).width + 16) : 0;
  const width = numberW + context.measureText(text).width + 34;
  x = Math.max(4, Math.min(x, canvas.width - width - 4));
  const top = freeTop([y - 34, y + boxH + 8, y + 8], x, x + width, canvas.height, others);
  others.push({ left: x, right: x + width, top, bottom: top + LABEL_PX });
  context.beginPath();
  context.roundRect(x, top, width, LABEL_PX, 13);
  context.fillStyle = "rgb(14 16 17 / 84%)";
  context.fill();
  context.textBaseline = "middle";
  if (face.track_id !== null) {
    context.beginPath();
    context.roundRect(x, top, numberW, LABEL_PX, 13);
    context.fillStyle = personColor(face.track_id);
    context.fill();
    context.fillStyle = "#fff";
    context.textAlign = "center";
    context.fillText(number, x + numberW / 2, top + 13.5);
  }
  context.textAlign = "left";
  context.beginPath();
  context.arc(x + numberW + 14, top + 13, 5, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, x + numberW + 25, top + 13.5);
}

/** Save what a person sees: the picture of the video and what is drawn over it. */
export function saveSnapshot(video: HTMLVideoElement, overlay: HTMLCanvasElement, mirrored: boolean): void {
  const canvas = document.createElement("canvas");
  canvas.width = overlay.width;
  canvas.height = overlay.height;
  const context = canvas.getContext("2d");
  if (!context || !video.videoWidth) return;
  const scale = Math.min(canvas.width / video.videoWidth, canvas.height / video.videoHeight);
  const width = video.videoWidth * scale;
  const height = video.videoHeight * scale;
  context.save();
  if (mirrored) {
    context.translate(canvas.width, 0);
    context.scale(-1, 1);
  }
  context.drawImage(video, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  context.restore();
  context.drawImage(overlay, 0, 0);
  canvas.toBlob((blob) => blob && saveFile("snapshot.png", blob, "image/png"), "image/png");
}
