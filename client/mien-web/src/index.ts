/** mien-web: faces and their apparent expressions in the browser. */

export { AssetError } from "./assets";
export type { Prior } from "./priors";
export type * from "./documents";
export { draw, type DrawOptions } from "./draw";
export { Mien, MienError, type CreateOptions, type FilmOptions, type Frames, type ImageSource, type WatchOptions } from "./mien";
