/** What changed in the whole frame, seen in a coarse grid: scene cuts, and motion beside faces. */

import { SCENE } from "./constants";
import { center, height, width, type Corners } from "./geometry";
import { areaMeans, clamp, mean, variance, type Pixels } from "./pixels";

export const COLUMNS = 32;
export const ROWS = 18;

/** Mean gray levels of a frame in [0, 1], row by row. */
export type Grid = Float32Array;

interface Part {
  readonly values: Grid;
  readonly columns: number;
  readonly rows: number;
}

/** The grid of a frame, of levels in [0, 1]. */
export function coarse(image: Pixels): Grid {
  return grayLevels(image, COLUMNS, ROWS).map((level) => level / 255);
}

/** Gray levels of a small picture; each cell is the mean of at least 16 sampled pixels. */
export function grayLevels(image: Pixels, wide: number, high: number): Float32Array {
  const down = Math.max(1, Math.floor(image.height / (4 * high)));
  const right = Math.max(1, Math.floor(image.width / (4 * wide)));
  const rows = Math.ceil((image.height - (down >> 1)) / down);
  const columns = Math.ceil((image.width - (right >> 1)) / right);
  const gray = new Uint8Array(rows * columns);
  let to = 0;
  for (let y = down >> 1; y < image.height; y += down) {
    for (let x = right >> 1; x < image.width; x += right) {
      const p = 4 * (y * image.width + x);
      gray[to++] = (image.data[p]! * 4899 + image.data[p + 1]! * 9617 + image.data[p + 2]! * 1868 + 8192) >> 14;
    }
  }
  return areaMeans(gray, columns, rows, wide, high);
}

/** Whether frames start a new scene, by the correlation of the gradients of their grids. */
export class SceneCutDetector {
  /** Whether the last frame, which was no cut, may be one if its faces are others. */
  isUnsure = false;
  /** Whether the last frame, which may be a cut, is mostly as the one before. */
  isPartial = false;
  private last: Grid | null = null;
  private before: Grid | null = null;
  private lastS = 0;
  private referenceS = 0;

  isCut(grid: Grid, timestampS: number): boolean {
    const { last } = this;
    const stepS = timestampS - this.lastS;
    this.lastS = timestampS;
    this.isUnsure = this.isPartial = false;
    const { before } = this;
    this.before = grid;
    if (!last || !before) {
      this.last = grid;
      this.referenceS = timestampS;
      return false;
    }
    const structure = correlation(whole(last), whole(grid));
    if (structure === null && timestampS - this.referenceS <= SCENE.MAX_SKIPPED_S) return false;
    this.last = grid;
    this.referenceS = timestampS;
    if (structure === null) return false;
    const difference = mean(last.map((level, k) => Math.abs(level - grid[k]!)));
    const isAlike = structure >= SCENE.SAME_STRUCTURE || difference < SCENE.NOISE;
    if (isAlike || shiftedCorrelation(last, grid) >= SCENE.SAME_SHIFTED) {
      this.isUnsure = structure < SCENE.SURELY_SAME && stepS <= SCENE.MAX_UNSURE_STEP_S;
      return false;
    }
    this.isPartial = stepS <= SCENE.MAX_UNSURE_STEP_S && isMostlySame(before, grid);
    return (
      stepS <= SCENE.MAX_STEP_S ||
      (difference > SCENE.MIN_DIFFERENCE && histogramDistance(last, grid) > SCENE.MIN_HISTOGRAM_DISTANCE)
    );
  }
}

function isMostlySame(a: Grid, b: Grid): boolean {
  const limit = SCENE.SAME_LEVEL * Math.min(0.2, Math.sqrt(Math.max(variance(a), variance(b))));
  let [usable, same] = [0, 0];
  a.forEach((level, k) => {
    const highest = Math.max(level, b[k]!);
    if (highest <= SCENE.BLACK || highest >= SCENE.WHITE) return;
    usable++;
    if (Math.abs(level - b[k]!) < limit) same++;
  });
  return usable >= SCENE.MIN_CELLS && same >= SCENE.MOSTLY * usable;
}

function whole(values: Grid): Part {
  return { values, columns: COLUMNS, rows: ROWS };
}

/** Correlation of the gradients in [-1, 1]; null where there is too little to compare. */
function correlation(a: Part, b: Part): number | null {
  const { columns, rows } = a;
  const usable = a.values.map((level, k) => (Math.max(level, b.values[k]!) < SCENE.WHITE ? 1 : 0));
  const cells = usable.reduce((sum, value) => sum + value, 0);
  if (cells < SCENE.MIN_CELLS) return null;
  const spread = ({ values }: Part): number => variance(values.filter((_, k) => usable[k]));
  const [spreadA, spreadB] = [spread(a), spread(b)];
  if (Math.sqrt(Math.min(spreadA, spreadB)) < SCENE.MIN_CONTRAST) return null;
  let [together, powerA, powerB, pairs] = [0, 0, 0, 0];
  const add = (from: number, to: number): void => {
    if (!usable[from] || !usable[to]) return;
    const first = a.values[to]! - a.values[from]!;
    const second = b.values[to]! - b.values[from]!;
    together += first * second;
    powerA += first * first;
    powerB += second * second;
    pairs++;
  };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const k = y * columns + x;
      if (x + 1 < columns) add(k, k + 1);
      if (y + 1 < rows) add(k, k + columns);
    }
  }
  const isSnow = (power: number, of: number): boolean => power >= SCENE.SNOW * 2 * pairs * of;
  if (!(powerA * powerB > 0) || isSnow(powerA, spreadA) || isSnow(powerB, spreadB)) return null;
  return together / Math.sqrt(powerA * powerB);
}

function shiftedCorrelation(a: Grid, b: Grid): number {
  let best = -1;
  const reach = SCENE.MAX_SHIFT;
  for (let down = -reach; down <= reach; down++) {
    for (let right = -reach; right <= reach; right++) {
      best = Math.max(best, correlation(shifted(a, down, right), shifted(b, -down, -right)) ?? -1);
    }
  }
  return best;
}

/** The part of a grid that is left when it is moved. */
function shifted(values: Grid, down: number, right: number): Part {
  const columns = COLUMNS - Math.abs(right);
  const rows = ROWS - Math.abs(down);
  const [top, left] = [Math.max(0, down), Math.max(0, right)];
  const kept = new Float32Array(columns * rows);
  for (let y = 0; y < rows; y++) {
    const start = (top + y) * COLUMNS + left;
    kept.set(values.subarray(start, start + columns), y * columns);
  }
  return { values: kept, columns, rows };
}

function histogramDistance(a: Grid, b: Grid): number {
  const counts = new Float64Array(SCENE.BINS);
  const bin = (level: number) => Math.min(SCENE.BINS - 1, Math.floor(level * SCENE.BINS));
  a.forEach((level) => counts[bin(level)]!++);
  b.forEach((level) => counts[bin(level)]!--);
  return counts.reduce((sum, count) => sum + Math.abs(count), 0) / (2 * a.length);
}

/** Compares the surroundings of known faces with how they were when last searched. */
export class MotionGate {
  private searched: Grid | null = null;

  noteSearch(grid: Grid): void {
    this.searched = grid;
  }

  /** Whether nothing has changed outside of the faces. */
  isStill(grid: Grid, faces: readonly Corners[], image: Pixels): boolean {
    const { searched } = this;
    if (!searched) return false;
    const hidden = new Uint8Array(grid.length);
    const cell = (position: number, length: number, cells: number) =>
      clamp(Math.trunc((position * cells) / length), 0, cells - 1);
    for (const box of faces) {
      const [x, y] = center(box);
      const [reachX, reachY] = [(SCENE.REACH * width(box)) / 2, (SCENE.REACH * height(box)) / 2];
      const right = cell(x + reachX, image.width, COLUMNS);
      const bottom = cell(y + reachY, image.height, ROWS);
      for (let row = cell(y - reachY, image.height, ROWS); row <= bottom; row++) {
        for (let column = cell(x - reachX, image.width, COLUMNS); column <= right; column++) {
          hidden[row * COLUMNS + column] = 1;
        }
      }
    }
    return grid.every((level, k) => hidden[k] || Math.abs(level - searched[k]!) <= SCENE.MIN_CHANGE);
  }
}
