/** Analyzes the frames of one stream, in order, and follows its faces. */

import { Clock, faceDocument, landmarksDocument, type Analyzer } from "./analyzer";
import { MAX_GAP_S, SAME_LOOK } from "./constants";
import { CutFinder } from "./cuts";
import type { Expression, Face, FrameResult } from "./documents";
import type { Points } from "./faces";
import { FaceLocator } from "./locator";
import type { StreamOptions } from "./options";
import { areaMeans, mean, toGray, variance, type Pixels } from "./pixels";
import { SamplingInterval } from "./sampling";
import { coarse } from "./scene";
import { deriveAffect, measureFace } from "./signals";
import { ExpressionSmoother, LandmarkSmoother, qualityWeight } from "./smoothing";
import { TrackStatistics } from "./statistics";
import { Tracker, type Observation } from "./tracker";

const THUMBNAIL = 16;
const LONGEST_S = 0.25;
const TOLERANCE_S = 5e-4;

interface Person {
  readonly expressions: ExpressionSmoother;
  readonly landmarks: LandmarkSmoother;
  readonly statistics: TrackStatistics;
  prediction?: { readonly thumbnail: Float32Array; readonly expression: Expression; readonly timestampS: number };
}

export class FaceStream {
  private readonly sampling = new SamplingInterval();
  private readonly tracker: Tracker;
  private readonly locator: FaceLocator;
  private readonly cuts: CutFinder;
  private readonly people = new Map<number, Person>();
  private lastS: number | undefined;
  private lastImage: Pixels | null = null;
  private frameIndex = -1;

  constructor(
    private readonly analyzer: Analyzer,
    public options: StreamOptions = {},
  ) {
    this.tracker = new Tracker(MAX_GAP_S, analyzer.minPresence, this.sampling);
    this.locator = new FaceLocator(analyzer, options.maxFaces ?? 0);
    this.cuts = new CutFinder(this.locator, this.tracker);
  }

  /**
   * Analyzes the next frame.
   *
   * @param timestampS of the frame, later than that of the frame before
   * @throws RangeError time does not go forward
   */
  async update(image: Pixels, timestampS: number): Promise<FrameResult> {
    if (this.lastS !== undefined && timestampS <= this.lastS) {
      throw new RangeError(`expected a frame later than the last one at ${this.lastS} s, got one at ${timestampS} s`);
    }
    this.lastS = timestampS;
    this.frameIndex += 1;
    this.sampling.update(timestampS);
    const clock = new Clock();
    const grid = coarse(image);
    const before = this.lastImage;
    this.lastImage = image;
    if (await this.cuts.isCut(image, before, grid, timestampS)) {
      this.forget(this.tracker.endAll().map((track) => track.trackId));
    }
    const observations = await this.locator.locate(image, this.tracker.tracks, timestampS, grid);
    clock.lap("locate");
    const [owners, ended] = this.tracker.update(observations, timestampS, image);
    this.forget(ended.map((track) => track.trackId));
    const seen = owners.flatMap(({ trackId }, k) => (trackId === null ? [] : [[trackId, observations[k]!] as const]));
    const expressions = await this.classify(image, seen, timestampS);
    clock.lap("describe");
    const faces = seen.map(([trackId, observation], k) =>
      this.describe(image, trackId, observation, expressions[k]!, timestampS),
    );
    clock.lap("smooth");
    return {
      schema_version: 1,
      source: null,
      image_size_wh: [image.width, image.height],
      frame_index: this.frameIndex,
      timestamp_s: timestampS,
      faces: faces.sort((a, b) => (a.track_id ?? 0) - (b.track_id ?? 0)),
      timings_ms: clock.lapsMs,
      models: this.analyzer.models,
    };
  }

  private person(trackId: number, timestampS: number): Person {
    let person = this.people.get(trackId);
    if (!person) {
      person = {
        expressions: new ExpressionSmoother(this.analyzer.classifier.spec.uncertain_below),
        landmarks: new LandmarkSmoother(),
        statistics: new TrackStatistics(timestampS),
      };
      this.people.set(trackId, person);
    }
    return person;
  }

  /** The expression of each face; one that has hardly changed is not classified again for a while. */
  private async classify(
    image: Pixels,
    seen: readonly (readonly [number, Observation])[],
    timestampS: number,
  ): Promise<Expression[]> {
    const { classifier } = this.analyzer;
    const waiting: { person: Person; crop: Pixels; thumbnail: Float32Array }[] = [];
    for (const [trackId, { detection, points }] of seen) {
      const crop = classifier.align(image, detection.box, points);
      const thumbnail = thumbnailOf(crop);
      const person = this.person(trackId, timestampS);
      if (!holds(person, thumbnail, timestampS)) waiting.push({ person, crop, thumbnail });
    }
    const predicted = await classifier.classify(waiting.map(({ crop }) => crop));
    waiting.forEach(({ person, thumbnail }, k) => {
      person.prediction = { thumbnail, expression: predicted[k]!, timestampS };
    });
    return seen.map(([trackId]) => this.people.get(trackId)!.prediction!.expression);
  }

  private describe(
    image: Pixels,
    trackId: number,
    { detection, points }: Observation,
    raw: Expression,
    timestampS: number,
  ): Face {
    const person = this.person(trackId, timestampS);
    const measured = measureFace(image, detection, points, raw);
    const [expression, state] = person.expressions.update(raw, qualityWeight(measured.quality), timestampS);
    const affect = deriveAffect(expression.probabilities);
    const smoothed: Points | null = points && person.landmarks.update(points, timestampS);
    const landmarks = smoothed && landmarksDocument(smoothed, this.options.landmarks ?? false);
    const face = faceDocument(detection, landmarks, expression, { ...measured, affect });
    face.track_id = trackId;
    face.expression_raw = raw;
    face.track = person.statistics.update(face, state, timestampS, this.sampling);
    return face;
  }

  private forget(trackIds: readonly (number | null)[]): void {
    for (const trackId of trackIds) if (trackId !== null) this.people.delete(trackId);
  }
}

function holds({ prediction }: Person, thumbnail: Float32Array, timestampS: number): boolean {
  if (!prediction || timestampS - prediction.timestampS >= LONGEST_S - TOLERANCE_S) return false;
  const difference = mean(thumbnail.map((value, k) => (value - prediction.thumbnail[k]!) ** 2));
  return Math.sqrt(difference) < SAME_LOOK;
}

/** 16 by 16 gray levels of mean 0 and about unit deviation. */
function thumbnailOf(crop: Pixels): Float32Array {
  const small = areaMeans(toGray(crop), crop.width, crop.height, THUMBNAIL, THUMBNAIL);
  const middle = mean(small);
  const deviation = Math.sqrt(variance(small));
  return small.map((level) => (level - middle) / (1 + deviation));
}
