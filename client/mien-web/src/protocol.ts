/** Messages between the page and the worker that runs the networks. */

import type { AnalyzerOptions } from "./analyzer";
import type { FrameResult } from "./documents";
import type { AnalyzeOptions, StreamOptions } from "./options";

export type Request =
  | { type: "create"; options: AnalyzerOptions }
  | { type: "analyze"; image: ImageBitmap; options: AnalyzeOptions }
  | { type: "open"; stream: number; options: StreamOptions }
  | { type: "frame"; stream: number; image: ImageBitmap; timestampS: number; options?: StreamOptions }
  | { type: "close"; stream: number }
  | { type: "dispose" };

export type Call = Request & { readonly id: number };

export type Reply =
  | { readonly id: number; readonly result: FrameResult | null }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };
