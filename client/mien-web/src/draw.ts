/** Draws results over an image: boxes and labels, and the mesh where the result has its points. */

import { MESH_LINES } from "./constants";
import type { Face, FrameResult } from "./documents";

const COLORS: ReadonlyMap<string, string> = new Map(Object.entries({
  neutral: "#a3a8ad",
  happiness: "#f2b705",
  surprise: "#e879c6",
  sadness: "#4c8dff",
  anger: "#ff5a4f",
  disgust: "#52b14a",
  fear: "#a675ff",
  contempt: "#d98850",
}));

export interface DrawOptions {
  /** Whether the picture below is shown mirrored, as a camera's. */
  readonly mirrored?: boolean;
  /** What is written at a face; by default its label in English and the probability. */
  readonly label?: (face: Face) => string;
}

/** Clears the canvas and draws every face, scaled to the size of the canvas. */
export function draw(canvas: HTMLCanvasElement | OffscreenCanvas, result: FrameResult, { mirrored = false, label = labelOf }: DrawOptions = {}): void {
  const context = canvas.getContext("2d") as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null;
  if (!context) return;
  const [wide, high] = result.image_size_wh;
  const [scaleX, scaleY] = [canvas.width / wide, canvas.height / high];
  context.clearRect(0, 0, canvas.width, canvas.height);
  const toX = (x: number) => (mirrored ? canvas.width - x * scaleX : x * scaleX);
  // Labels are as large as text where the page shows the canvas smaller than it is.
  const shown = "clientWidth" in canvas && canvas.clientWidth ? canvas.clientWidth : canvas.width;
  const unit = Math.max(1, canvas.width / 640, (0.85 * canvas.width) / shown);
  for (const face of result.faces) {
    const color = COLORS.get(face.expression?.label ?? "neutral") ?? "#fff";
    drawMesh(context, face, toX, scaleY, unit);
    const { x_min, y_min, x_max, y_max } = face.box;
    const left = Math.min(toX(x_min), toX(x_max));
    context.lineWidth = 3 * unit;
    context.strokeStyle = color;
    context.setLineDash(face.expression?.uncertain ? [7 * unit, 6 * unit] : []);
    context.strokeRect(left, y_min * scaleY, (x_max - x_min) * scaleX, (y_max - y_min) * scaleY);
    drawLabel(context, label(face), left, y_min * scaleY, color, unit);
  }
}

function labelOf({ expression }: Face): string {
  if (!expression) return "face";
  const percent = Math.round(100 * (expression.probabilities[expression.label] ?? 0));
  return `${expression.label}${expression.uncertain ? "?" : ""} ${percent} %`;
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

function drawLabel(context: Context, text: string, left: number, top: number, color: string, unit: number): void {
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  const [wide, high] = [context.measureText(text).width + 12 * unit, 22 * unit];
  const y = top > high ? top - high : top;
  context.setLineDash([]);
  context.fillStyle = "rgb(14 16 17 / 84%)";
  context.fillRect(left, y, wide, high);
  context.fillStyle = color;
  context.fillRect(left, y, 4 * unit, high);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + 8 * unit, y + high / 2);
}

function drawMesh(context: Context, { landmarks }: Face, toX: (x: number) => number, scaleY: number, unit: number): void {
  const points = landmarks?.points;
  if (!points || landmarks.scheme !== "mesh468") return;
  context.strokeStyle = "rgb(255 255 255 / 75%)";
  context.lineWidth = unit;
  context.setLineDash([]);
  for (const { indices, closed } of MESH_LINES) {
    context.beginPath();
    indices.forEach((index, k) => {
      const [x = 0, y = 0] = points[index] ?? [];
      if (k) context.lineTo(toX(x), y * scaleY);
      else context.moveTo(toX(x), y * scaleY);
    });
    if (closed) context.closePath();
    context.stroke();
  }
}
