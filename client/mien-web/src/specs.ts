/** Model specs: the JSON files beside the networks, written by mien. */

export interface InputSpec {
  readonly name: string;
  readonly size_wh: readonly [number, number];
  readonly color: "rgb" | "bgr" | "gray";
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface Template {
  readonly scheme: string;
  readonly indices: readonly number[];
  readonly points: readonly (readonly [number, number])[];
}

export interface ModelSpec {
  readonly name: string;
  readonly task: string;
  readonly file: string;
  readonly sha256: string;
  readonly input: InputSpec;
  readonly outputs: readonly string[];
  readonly labels: readonly string[];
  readonly alignment: Template | null;
  readonly temperature: number;
  readonly training_prior: readonly number[];
  readonly prior: string | Readonly<Record<string, number>>;
  readonly uncertain_below: number;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A number of a spec's parameters. */
export function numberOf(spec: ModelSpec, name: string): number {
  const value = spec.parameters[name];
  if (typeof value !== "number") throw new TypeError(`expected a number as ${name} of ${spec.name}, got ${String(value)}`);
  return value;
}
