/** Where the parts of a frame were in the frame before, as mien's Python module `tracking.blocks`. */

import { BLOCKS } from "./constants";
import { center, height, iou, width, type Corners, type Point } from "./geometry";
import { clamp, mean, part, variance, type Pixels } from "./pixels";
import { grayLevels } from "./scene";

interface Levels {
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
}

interface Block {
  readonly score: number;
  /** How far it moved, and where its middle was, in pixels of the small picture. */
  readonly moved: Point;
  readonly source: Point;
}

const [WIDE, HIGH] = [BLOCKS.SIZE_WH[0]!, BLOCKS.SIZE_WH[1]!];
const { SIDE, REACH } = BLOCKS;
const COLUMNS = Math.floor(WIDE / SIDE);
// A block that is found so well where the one before it moved to needs no wider search, which takes 50 times as long.
const SURELY_FOUND = 0.9;

/**
 * How far the picture moved, in pixels to the right and down; null for another scene.
 *
 * @param people faces of the frame before that may move by themselves
 */
export function cameraMotion(before: Pixels, image: Pixels, people: readonly Corners[]): Point | null {
  const [first, second] = [before, image].map((whole) => small(whole, WIDE, HIGH)) as [Levels, Levels];
  const found: (Block | null)[] = [];
  let textured = 0;
  let usual: Point = [0, 0];
  for (let top = 0; top + SIDE <= HIGH; top += SIDE) {
    for (let left = 0; left + SIDE <= WIDE; left += SIDE) {
      const block = cut(second, left, top, left + SIDE, top + SIDE);
      const hasTexture = hasContrast(block);
      textured += Number(hasTexture);
      const near = hasTexture ? findBlock(first, block, [left, top], usual, BLOCKS.ALIKE_PX) : null;
      const isSure = !hasTexture || (near && near.score >= SURELY_FOUND);
      const best = isSure ? near : findBlock(first, block, [left, top], [0, 0], REACH);
      usual = best?.moved ?? usual;
      found.push(best);
    }
  }
  let alike = found.filter((block, k): block is Block => block !== null && movesAsNeighbor(found, k));
  if (alike.length < Math.max(BLOCKS.MIN_BLOCKS, BLOCKS.SAME_SCENE * textured)) return null;
  const scale: Point = [image.width / WIDE, image.height / HIGH];
  if (people.length) {
    const boxes = people.map(([a, b, c, d]): Corners => [a / scale[0], b / scale[1], c / scale[0], d / scale[1]]);
    const background = alike.filter(({ source }) => !boxes.some((box) => isWithin(source, bodyOf(box))));
    if (background.length >= BLOCKS.MIN_BLOCKS) alike = background;
    else if (!moveTogether(alike, boxes)) return [0, 0];
  }
  const [right, down] = middleMotion(alike);
  return [right * scale[0], down * scale[1]];
}

/** A block in the picture before, at most `reach` pixels from where it was if it moved as expected. */
function findBlock(before: Levels, block: Levels, [left, top]: Point, expected: Point, reach: number): Block | null {
  const x = (by: number) => clamp(left - expected[0] + by, 0, WIDE - SIDE);
  const y = (by: number) => clamp(top - expected[1] + by, 0, HIGH - SIDE);
  const around = cut(before, x(-reach), y(-reach), x(reach) + SIDE, y(reach) + SIDE);
  const [score, right, down] = bestMatch(around, block);
  if (score < BLOCKS.FOUND) return null;
  const source: Point = [x(-reach) + right, y(-reach) + down];
  return { score, moved: [left - source[0], top - source[1]], source: [source[0] + SIDE / 2, source[1] + SIDE / 2] };
}

/** Whether a block moved as one of the four that it touches. */
function movesAsNeighbor(found: readonly (Block | null)[], k: number): boolean {
  const column = k % COLUMNS;
  const beside = [k - COLUMNS, k + COLUMNS, column > 0 ? k - 1 : -1, column + 1 < COLUMNS ? k + 1 : -1];
  return beside.some((other) => !!found[other] && isNear(found[other].moved, found[k]!.moved));
}

function isNear(a: Point, b: Point): boolean {
  return Math.abs(a[0] - b[0]) <= BLOCKS.ALIKE_PX && Math.abs(a[1] - b[1]) <= BLOCKS.ALIKE_PX;
}

/** The face with what moves with it. */
function bodyOf([left, top, right, bottom]: Corners): Corners {
  const [aside, over, under] = [BLOCKS.BODY[0]!, BLOCKS.BODY[1]!, BLOCKS.BODY[2]!];
  const [wide, high] = [right - left, bottom - top];
  return [left - aside * wide, top - over * high, right + aside * wide, bottom + under * high];
}

function isWithin([x, y]: Point, [left, top, right, bottom]: Corners): boolean {
  return x >= left && x <= right && y >= top && y <= bottom;
}

/** Whether most people, and at least three, moved alike: as before a moving camera. */
function moveTogether(blocks: readonly Block[], boxes: readonly Corners[]): boolean {
  const usual = middleMotion(blocks);
  const alone = boxes.filter((box) => boxes.every((other) => other === box || iou(box, other) < BLOCKS.BESIDE_IOU));
  const votes = alone.flatMap((box) => {
    const own = blocks.filter(({ source }) => isWithin(source, box));
    return own.length ? [own.filter(({ moved }) => isNear(moved, usual)).length >= own.length / 2] : [];
  });
  return votes.filter(Boolean).length >= Math.max(BLOCKS.LEAST_PEOPLE, BLOCKS.MOST_PEOPLE * votes.length);
}

function middleMotion(blocks: readonly Block[]): Point {
  return [median(blocks.map(({ moved }) => moved[0])), median(blocks.map(({ moved }) => moved[1]))];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Whether a face of the frame before is in this one, near where it was. */
export function isFound(before: Pixels, image: Pixels, box: Corners, expected: Corners): boolean {
  if (Math.max(likeness(before, box, image), likeness(image, expected, before)) >= BLOCKS.SAME_FACE) return true;
  // Where something covers the face, one of its sides is found.
  const [middle, y] = center(box);
  const half = width(box) / 2;
  return [box[0], middle].some(
    (left) => likeness(before, [left, y - half / 2, left + half, y + half / 2], image, 1) >= BLOCKS.SAME_SIDE,
  );
}

/** The highest correlation of a part of a picture with the surroundings in another one. */
function likeness(image: Pixels, box: Corners, other: Pixels, reach: number = BLOCKS.FACE_REACH): number {
  const face = around(image, box, 1);
  const surroundings = around(other, box, reach);
  const isSmaller = face.width <= surroundings.width && face.height <= surroundings.height;
  if (!isSmaller || Math.min(face.width, face.height) < BLOCKS.MIN_PART_PX || !hasContrast(face)) return -1;
  return bestMatch(surroundings, face)[0];
}

/** The part of an image around a box, inside the image, in which a face has `FACE_PX` pixels. */
function around(image: Pixels, box: Corners, reach: number): Levels {
  const side = Math.max(width(box), height(box));
  const [x, y] = center(box);
  const half = (reach * side) / 2;
  const left = clamp(Math.floor(x - half), 0, image.width - 1);
  const top = clamp(Math.floor(y - half), 0, image.height - 1);
  const right = clamp(Math.ceil(x + half), left + 1, image.width);
  const bottom = clamp(Math.ceil(y + half), top + 1, image.height);
  const length = (pixels: number) => Math.max(1, Math.round((BLOCKS.FACE_PX * pixels) / side));
  return small(part(image, left, top, right, bottom), length(right - left), length(bottom - top));
}

function small(image: Pixels, wide: number, high: number): Levels {
  return { values: grayLevels(image, wide, high), width: wide, height: high };
}

function cut({ values, width }: Levels, left: number, top: number, right: number, bottom: number): Levels {
  const result = { values: new Float32Array((right - left) * (bottom - top)), width: right - left, height: bottom - top };
  for (let y = top; y < bottom; y++) {
    result.values.set(values.subarray(y * width + left, y * width + right), (y - top) * result.width);
  }
  return result;
}

function hasContrast({ values }: Levels): boolean {
  return Math.sqrt(variance(values)) >= BLOCKS.MIN_TEXTURE;
}

/** Where a part has its highest normalized correlation with a picture: that, and its place. */
function bestMatch(picture: Levels, face: Levels): [score: number, right: number, down: number] {
  const count = face.values.length;
  const middle = mean(face.values);
  const centered = face.values.map((level) => level - middle);
  const power = centered.reduce((sum, level) => sum + level * level, 0);
  const sums = integral(picture, 1);
  const squares = integral(picture, 2);
  let best: [number, number, number] = [-1, 0, 0];
  for (let down = 0; down + face.height <= picture.height; down++) {
    for (let right = 0; right + face.width <= picture.width; right++) {
      const sum = inWindow(sums, picture, face, right, down);
      const own = inWindow(squares, picture, face, right, down) - (sum * sum) / count;
      // A window without contrast.
      if (own < count / 100) continue;
      let together = 0;
      for (let y = 0, k = 0; y < face.height; y++) {
        let at = (down + y) * picture.width + right;
        for (let x = 0; x < face.width; x++) together += centered[k++]! * picture.values[at++]!;
      }
      const score = together / Math.sqrt(power * own);
      if (score > best[0]) best = [score, right, down];
    }
  }
  return best;
}

/** Sums of powers of the levels above and to the left of each pixel. */
function integral({ values, width, height }: Levels, exponent: number): Float64Array {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += values[y * width + x]! ** exponent;
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1]! + row;
    }
  }
  return sums;
}

function inWindow(sums: Float64Array, { width }: Levels, face: Levels, right: number, down: number): number {
  const [top, bottom] = [down * (width + 1) + right, (down + face.height) * (width + 1) + right];
  return sums[bottom + face.width]! - sums[bottom]! - sums[top + face.width]! + sums[top]!;
}
