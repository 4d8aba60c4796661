/** The three steps in order, for one image: detect faces, find their landmarks, classify. */

import { Classifier } from "./classifier";
import { MIN_PRESENCE, MIN_SCORE, PIPELINE } from "./constants";
import { BlazeFace } from "./detector";
import type { Expression, Face, FrameResult } from "./documents";
import { countOf, type Detection, type Points } from "./faces";
import { area, center, type Corners } from "./geometry";
import { FaceMesh } from "./mesh";
import { Network, start, type RuntimeOptions } from "./network";
import type { AnalyzeOptions } from "./options";
import type { Pixels } from "./pixels";
import type { Prior } from "./priors";
import { FaceSearch } from "./search";
import { measureFace, type Measured } from "./signals";
import { FaceVerifier, type Verdict } from "./verifier";

export interface AnalyzerOptions extends RuntimeOptions {
  /** Address of the folder with the models. */
  readonly assets: string;
  /** Name of the expression model: `NAME.json` in `assets`. */
  readonly model?: string | undefined;
  readonly prior?: Prior | undefined;
  /** Detections with a lower score are dropped, in [0, 1]. */
  readonly minScore?: number | undefined;
  /** Detections whose landmarks have a lower presence are dropped, in [0, 1]. */
  readonly minPresence?: number | undefined;
}

// The detector, the landmarks and the expression; the others are loaded after the first result, or when one needs them.
const NEEDED_FIRST = 3;
// What makes the expression of a still uncertain.
const LOW_CONFIDENCE: ReadonlySet<string> = new Set(["covered", "blurred"]);

type Found = readonly [Detection, Points, Verdict];

export class Analyzer {
  private constructor(
    readonly search: FaceSearch,
    readonly mesh: FaceMesh,
    private readonly verifier: FaceVerifier,
    readonly classifier: Classifier,
    readonly minScore: number,
    readonly minPresence: number,
    private readonly networks: readonly Network[],
  ) {}

  static async create(options: AnalyzerOptions): Promise<Analyzer> {
    const runtime = start(options);
    const names = ["blazeface", "facemesh", options.model ?? "default", "blazeface-short", "verifier"];
    const find = async (name: string, k: number): Promise<Network> => {
      const network = await Network.find(options.assets, name);
      if (k < NEEDED_FIRST) await network.open();
      return network;
    };
    const [networks] = await Promise.all([Promise.all(names.map(find)), runtime]);
    const [detector, mesh, expression, closeUp, verifier] = networks as [Network, Network, Network, Network, Network];
    return new Analyzer(
      new FaceSearch(new BlazeFace(detector), new BlazeFace(closeUp)),
      new FaceMesh(mesh),
      new FaceVerifier(verifier),
      new Classifier(expression, options.prior),
      options.minScore ?? MIN_SCORE,
      options.minPresence ?? MIN_PRESENCE,
      networks,
    );
  }

  /** Loads what the first result of a stream does not need. */
  async openRest(): Promise<void> {
    for (const network of this.networks) await network.open();
  }

  get models(): Record<string, string> {
    return {
      detector: this.search.name,
      landmarks: this.mesh.name,
      verifier: this.verifier.name,
      expression: this.classifier.name,
      prior: this.classifier.prior,
    };
  }

  /** Faces of a still image, from left to right. */
  async analyze(image: Pixels, { landmarks = false }: AnalyzeOptions = {}): Promise<FrameResult> {
    const clock = new Clock();
    const [candidates, faint] = await this.search.searchStill(image, this.minScore);
    clock.lap("detect");
    let present = await this.present(image, candidates);
    if (!present.length) present = await this.foundAgain(image, candidates, faint);
    clock.lap("landmarks");
    const crops = present.map(([detection, points]) => this.classifier.align(image, detection.box, points));
    clock.lap("align");
    const expressions = await this.classifier.classify(crops);
    clock.lap("classify");
    const faces = present.map(([detection, points, verdict], k) => {
      const found = expressions[k] ?? null;
      const measured = measureFace(image, detection, points, found, verdict);
      const isLow = measured.quality.reasons.some((reason) => LOW_CONFIDENCE.has(reason));
      const expression = found && isLow ? { ...found, uncertain: true } : found;
      return faceDocument(detection, landmarksDocument(points, landmarks), expression, measured);
    });
    clock.lap("measure");
    return {
      schema_version: 1,
      source: null,
      image_size_wh: [image.width, image.height],
      frame_index: null,
      timestamp_s: null,
      faces,
      timings_ms: clock.lapsMs,
      models: this.models,
    };
  }

  /** Detections that neither their landmarks nor the verifier deny, from left to right. */
  private async present(image: Pixels, detections: readonly Detection[]): Promise<Found[]> {
    const found = (await this.lookedAt(image, detections)).filter(([, , verdict]) => verdict.presence >= this.minPresence);
    return found.sort(([a], [b]) => center(a.box)[0] - center(b.box)[0]);
  }

  /** Where no face is found: one that fills the image, or one with a low score. */
  private async foundAgain(image: Pixels, denied: readonly Detection[], faint: readonly Detection[]): Promise<Found[]> {
    const close = denied.length ? await this.search.detectClose(image, this.minScore) : [];
    const found = (await this.present(image, close)).filter(([, , verdict]) => verdict.presence >= PIPELINE.CLOSE_PRESENCE);
    if (found.length || this.minScore > MIN_SCORE) return found;
    return (await this.lookedAt(image, faint)).filter(
      ([, points, verdict]) => Math.min(points.presence ?? 0, verdict.presence) >= PIPELINE.WEAK_PRESENCE,
    );
  }

  private async lookedAt(image: Pixels, detections: readonly Detection[]): Promise<Found[]> {
    const found: Found[] = [];
    for (const detection of detections) {
      const points = await this.mesh.predict(image, detection);
      found.push([detection, points, await this.verifier.verify(image, detection, points)]);
    }
    return found;
  }

  async dispose(): Promise<void> {
    for (const network of this.networks) await network.dispose();
  }
}

export class Clock {
  readonly lapsMs: Record<string, number> = {};
  private last = performance.now();

  lap(name: string): void {
    const now = performance.now();
    this.lapsMs[name] = rounded(now - this.last, 3);
    this.last = now;
  }
}

export function landmarksDocument(points: Points, all: boolean): Face["landmarks"] {
  const document: Face["landmarks"] = { scheme: points.scheme, presence: points.presence };
  if (all) {
    document.points = Array.from({ length: countOf(points) }, (_, k) =>
      Array.from(points.values.subarray(k * points.dimensions, (k + 1) * points.dimensions), (v) => rounded(v, 2)),
    );
  }
  return document;
}

export function faceDocument(
  detection: Detection,
  landmarks: Face["landmarks"],
  expression: Expression | null,
  measured: Measured,
): Face {
  return {
    box: boxDocument(detection.box),
    score: detection.score,
    track_id: null,
    landmarks,
    expression,
    ...measured,
  };
}

function boxDocument([x_min, y_min, x_max, y_max]: Corners): Face["box"] {
  return { x_min, y_min, x_max, y_max };
}

/** The larger a face, the earlier. */
export function bySize(a: Detection, b: Detection): number {
  return area(b.box) - area(a.box);
}

export function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
