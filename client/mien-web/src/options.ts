/** Options of calls, in a file without the networks: the package's types need no other package. */

export interface AnalyzeOptions {
  /** Whether results carry the landmarks' points. */
  readonly landmarks?: boolean | undefined;
}

export interface StreamOptions extends AnalyzeOptions {
  /** Maximum number of faces; 0 for no limit. */
  readonly maxFaces?: number | undefined;
}
