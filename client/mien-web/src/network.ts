/** A network in onnxruntime-web: WebGPU or WebAssembly. */

import * as ort from "onnxruntime-web/wasm";
import type { Model } from "./assets";
import type { ModelSpec } from "./specs";

export interface RuntimeOptions {
  /** Address of the folder with onnxruntime's WebAssembly files. */
  readonly runtime: string;
  /** Threads for WebAssembly; more than one needs a page that is cross-origin isolated. */
  readonly threads: number;
}

let configured = false;

/** Sets where the runtime is, before the first network. */
export function configure({ runtime, threads }: RuntimeOptions): void {
  if (configured) return;
  configured = true;
  ort.env.wasm.wasmPaths = runtime;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
}

export type Outputs = Readonly<Record<string, Float32Array>>;

export class Network {
  private constructor(
    readonly spec: ModelSpec,
    private readonly session: ort.InferenceSession,
  ) {}

  static async create({ spec, bytes }: Model): Promise<Network> {
    const session = await ort.InferenceSession.create(bytes, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
    });
    return new Network(spec, session);
  }

  /** Runs a batch of `count` inputs of `size_wh`; only the named outputs are computed. */
  async run(
    batch: Float32Array,
    count: number,
    size_wh: readonly [number, number] = this.spec.input.size_wh,
    outputs: readonly string[] = this.spec.outputs,
  ): Promise<Outputs> {
    const [wide, high] = size_wh;
    const channels = this.spec.input.color === "gray" ? 1 : 3;
    const input = new ort.Tensor("float32", batch, [count, channels, high, wide]);
    const values = await this.session.run({ [this.spec.input.name]: input }, [...outputs]);
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.data as Float32Array]));
  }

  async dispose(): Promise<void> {
    await this.session.release();
  }
}
