/** The results since the start, in bounded memory. */

import type { FrameResult } from "./result";

const MAX_RESULTS = 40_000;

export class History {
  private results: FrameResult[] = [];

  get length(): number {
    return this.results.length;
  }

  /** Landmarks are dropped: a minute of them needs more memory than an hour of everything else. */
  add(result: FrameResult): void {
    const faces = result.faces.map((face) =>
      face.landmarks?.points
        ? { ...face, landmarks: { scheme: face.landmarks.scheme, presence: face.landmarks.presence } }
        : face,
    );
    this.results.push({ ...result, faces });
    if (this.results.length > MAX_RESULTS) this.results = this.results.slice(MAX_RESULTS / 4);
  }

  all(): readonly FrameResult[] {
    return this.results;
  }

  clear(): void {
    this.results = [];
  }
}

/** The probabilities of one person over time. Older points are thinned to bound the size of the chart. */
export class Series {
  readonly times: number[] = [];
  readonly values = new Map<string, (number | null)[]>();
  readonly uncertain: boolean[] = [];
  /** As on the cards: a label is held until another one is clearly more probable. */
  readonly held: string[] = [];

  constructor(
    readonly labels: readonly string[],
    private readonly maxPoints = 3000,
  ) {
    for (const label of labels) this.values.set(label, []);
  }

  add(timeS: number, probabilities: Record<string, number>, label: string, uncertain = false): void {
    const last = this.times.at(-1);
    if (last !== undefined && timeS <= last) return;
    if (last !== undefined && timeS - last > 1.5) this.push((last + timeS) / 2, null, "", false);
    this.push(timeS, probabilities, label, uncertain);
    if (this.times.length > this.maxPoints) this.thin();
  }

  private push(timeS: number, probabilities: Record<string, number> | null, held: string, uncertain: boolean): void {
    this.times.push(timeS);
    this.held.push(held);
    this.uncertain.push(uncertain);
    for (const label of this.labels) this.values.get(label)?.push(probabilities?.[label] ?? null);
  }

  private thin(): void {
    const half = this.times.length >> 1;
    const keep = (_: unknown, index: number) => index >= half || index % 2 === 0;
    const thin = <T>(column: T[]): void => {
      column.splice(0, column.length, ...column.filter(keep));
    };
    thin(this.times);
    thin(this.uncertain);
    thin(this.held);
    for (const column of this.values.values()) thin(column);
  }
}

/** Index of the last time that is not later than another; 0 where all are. */
export function nearest(times: readonly number[], timeS: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((times[middle] ?? 0) <= timeS) low = middle;
    else high = middle - 1;
  }
  return low;
}
