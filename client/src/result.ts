/** The messages of the server: the JSON of FrameResult, and notices. */

export interface Box {
  x_min: number;
  y_min: number;
  x_max: number;
  y_max: number;
}

export interface Expression {
  label: string;
  uncertain: boolean;
  probabilities: Record<string, number>;
}

export interface Quality {
  size_px: number;
  yaw_deg: number | null;
  pitch_deg: number | null;
  roll_deg: number | null;
  reasons: string[];
}

export interface Signals {
  eye_opening_left: number | null;
  eye_opening_right: number | null;
  mouth_opening: number | null;
  facing: number | null;
}

/** Statistics of a track so far. */
export interface Track {
  state: string;
  blinks: number;
  eyes_closed_s: number;
  yawns: number;
}

export interface Face {
  box: Box;
  score: number;
  track_id: number | null;
  landmarks: { scheme: string; presence: number | null; points?: number[][] } | null;
  expression: Expression | null;
  quality: Quality | null;
  affect: { valence: number; arousal: number; method: string } | null;
  signals: Signals | null;
  track?: Track;
}

export interface FrameResult {
  schema_version: number;
  image_size_wh: [number, number];
  frame_index: number | null;
  timestamp_s: number | null;
  faces: Face[];
  timings_ms: Record<string, number>;
}

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
