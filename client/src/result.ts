/** The messages of the server: the JSON of FrameResult, and notices. */

import { FACE_COLUMNS, type FrameResult } from "./documents";

export type * from "./documents";

export type Notice =
  | { type: "busy"; retry_after_ms: number }
  | { type: "dropped"; frames: number }
  | { type: "error"; error: { code: string; message: string } }
  | { type: "neutral"; track_id: number; is_set: boolean }
  | { type: "recording"; state: "started"; session_id: string }
  | { type: "recording"; state: "stopped"; session_id: string | null; complete: boolean };

export type Message = FrameResult | Notice;

export function isNotice(message: Message): message is Notice {
  return "type" in message;
}

/** Processing time of a frame on the server, in milliseconds. */
export function serverMs(result: FrameResult): number {
  return Object.values(result.timings_ms).reduce((sum, ms) => sum + ms, 0);
}

/** A CSV table with one row per face. */
export function toCsv(results: readonly FrameResult[]): string {
  const faces = results.flatMap((result) => result.faces);
  const labels = Object.keys(
    faces.find((face) => face.expression)?.expression
      ?.probabilities ?? {},
  );
  // Blendshapes, action units and gaze have columns only where a face has them.
  const columns = FACE_COLUMNS.filter(
    ({ onlyWith }) =>
      onlyWith === "" || onlyWith === "track" || faces.some((face) => onlyWith in face),
  ).flatMap((column) =>
    column.perLabel
      ? labels.map((label) => ({ ...column, name: column.name + label, path: [...column.path, label] }))
      : [column],
  );
  const rows = results.flatMap((result) =>
    result.faces.map((face) =>
      columns.map((column) => cell(valueAt(column.ofFrame ? result : face, column.path))),
    ),
  );
  return [columns.map((column) => column.name), ...rows].map((row) => row.join(",")).join("\n") + "\n";
}

function valueAt(document: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((part, key) => (part as Record<string, unknown> | null)?.[key], document);
}

function cell(value: unknown): string {
  return Array.isArray(value) ? value.join(" ") : String(value ?? "");
}
