/** Whether a frame of a stream starts another scene, by the whole picture and by its faces. */

import { cameraMotion } from "./blocks";
import { CUTS } from "./constants";
import type { FaceLocator } from "./locator";
import { isBeside } from "./neighbors";
import type { Pixels } from "./pixels";
import { SceneCutDetector, type Grid } from "./scene";
import type { Tracker } from "./tracker";

export class CutFinder {
  private readonly scenes = new SceneCutDetector();

  constructor(
    private readonly locator: FaceLocator,
    private readonly tracker: Tracker,
  ) {}

  /** Whether this frame starts another scene; moves the tracks where the camera moved far. */
  async isCut(image: Pixels, before: Pixels | null, grid: Grid, timestampS: number): Promise<boolean> {
    const isOther = this.scenes.isCut(grid, timestampS);
    if (!isOther && !this.scenes.isUnsure) return false;
    const { tracks } = this.tracker;
    // One face may be taken for the camera, but of several each moves by itself.
    const people = tracks.length > 1 ? tracks.map(({ motion }) => motion.box) : [];
    const moved = before && cameraMotion(before, image, people);
    if (moved && Math.hypot(...moved) >= CUTS.MIN_MOTION * image.width) {
      this.tracker.move(...moved);
      return false;
    }
    const continues = await this.locator.continues(image, before, tracks, timestampS);
    if (isOther && !moved) return !(continues ?? this.scenes.isPartial);
    // Faces that cover each other look like others for a while.
    return continues === false && !tracks.some((track) => isBeside(track, timestampS));
  }
}
