/** The messages of the server: the JSON of FrameResult, and notices. */

import type { FrameResult } from "./documents";

export type * from "./documents";

export type Notice =
  | { type: "busy"; retry_after_ms: number }
  | { type: "dropped"; frames: number }
  | { type: "error"; error: { code: string; message: string } }
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
  const labels = Object.keys(
    results.flatMap((result) => result.faces).find((face) => face.expression)?.expression
      ?.probabilities ?? {},
  );
  const header = [
    "frame_index", "timestamp_s", "track_id", "x_min", "y_min", "x_max", "y_max", "score",
    "expression", "uncertain", ...labels.map((label) => `p_${label}`),
    "yaw_deg", "pitch_deg", "roll_deg",
  ];
  const rows = results.flatMap((result) =>
    result.faces.map((face) => [
      result.frame_index, result.timestamp_s, face.track_id,
      face.box.x_min, face.box.y_min, face.box.x_max, face.box.y_max, face.score,
      face.expression?.label, face.expression?.uncertain,
      ...labels.map((label) => face.expression?.probabilities[label]),
      face.quality?.yaw_deg, face.quality?.pitch_deg, face.quality?.roll_deg,
    ]),
  );
  return [header, ...rows].map((row) => row.map((cell) => cell ?? "").join(",")).join("\n") + "\n";
}
