/** A network in onnxruntime-web. */

import * as ort from "onnxruntime-web/wasm";
import { loadNetwork, loadSpec } from "./assets";
import { prepared } from "./onnx";
import type { ModelSpec } from "./specs";

export interface RuntimeOptions {
  /** Address of the folder with onnxruntime's WebAssembly files. */
  readonly runtime: string;
  /** Threads for WebAssembly; more than one needs a page that is cross-origin isolated. */
  readonly threads: number;
}

// y = Identity(x): a network with which the runtime starts while the others are on their way.
const IDENTITY = Uint8Array.from(atob("CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEBE="), (character) => character.charCodeAt(0));

let started: Promise<ort.InferenceSession> | undefined;

/** Starts the runtime, once. */
export function start({ runtime, threads }: RuntimeOptions): Promise<unknown> {
  if (started) return started;
  ort.env.wasm.wasmPaths = runtime;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  started = ort.InferenceSession.create(IDENTITY).catch((error: unknown) => {
    throw new Error(`expected onnxruntime to start from ${runtime}, and a Content-Security-Policy with 'wasm-unsafe-eval' if there is one, got: ${String(error)}`);
  });
  return started;
}

export type Outputs = Readonly<Record<string, Float32Array>>;

export class Network {
  private session: Promise<ort.InferenceSession> | undefined;

  private constructor(
    readonly spec: ModelSpec,
    private readonly assets: string,
  ) {}

  /** A network by name, which is loaded by `open` or its first run. */
  static async find(assets: string, name: string): Promise<Network> {
    return new Network(await loadSpec(assets, name), assets);
  }

  /** Loads the network; after a failure, the next call tries again. */
  async open(): Promise<ort.InferenceSession> {
    this.session ??= this.load();
    try {
      return await this.session;
    } catch (error) {
      this.session = undefined;
      throw error;
    }
  }

  private async load(): Promise<ort.InferenceSession> {
    const bytes = await loadNetwork(this.assets, this.spec);
    const { model, isPlain } = prepared(bytes);
    await started;
    return ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: isPlain ? "disabled" : "all" });
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
    const session = await this.open();
    const values = await session.run({ [this.spec.input.name]: input }, [...outputs]);
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.data as Float32Array]));
  }

  async dispose(): Promise<void> {
    await (await this.session)?.release();
  }
}
