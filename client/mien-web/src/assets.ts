/** Networks and their specs: fetched once, checked, and kept for use without a connection. */

import type { ModelSpec } from "./specs";

const CACHE = "mien-models";

/** What a folder of models could not provide. */
export class AssetError extends Error {
  override name = "AssetError";
}

export interface Model {
  readonly spec: ModelSpec;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Fetches a model by name.
 *
 * @param assets address of the folder with `NAME.json` and the networks
 * @throws AssetError it cannot be fetched, or differs from its checksum
 */
export async function loadModel(assets: string, name: string): Promise<Model> {
  const spec = JSON.parse(new TextDecoder().decode(await fetched(new URL(`${name}.json`, assets)))) as ModelSpec;
  const url = new URL(spec.file, assets);
  // The checksum in the address: a newer network never meets an older copy.
  url.searchParams.set("sha256", spec.sha256.slice(0, 16));
  let bytes = await fetched(url, true);
  if (!(await matches(bytes, spec.sha256))) {
    await discard(url);
    bytes = await fetched(url, true);
    if (!(await matches(bytes, spec.sha256))) {
      await discard(url);
      throw new AssetError(`expected ${url.pathname} with SHA-256 ${spec.sha256}, got another file; fetch it again`);
    }
  }
  return { spec, bytes };
}

async function fetched(url: URL, keep = false): Promise<Uint8Array<ArrayBuffer>> {
  const store = await openCache();
  const known = keep ? await store?.match(url.href) : undefined;
  if (known) return new Uint8Array(await known.arrayBuffer());
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    const older = await store?.match(url.href);
    if (older) return new Uint8Array(await older.arrayBuffer());
    throw new AssetError(`expected a model at ${url.href}, got no answer (${String(error)}); check the connection`);
  }
  if (!response.ok) {
    throw new AssetError(`expected a model at ${url.href}, got HTTP ${response.status}; check the folder \`assets\``);
  }
  try {
    await store?.put(url.href, response.clone());
  } catch {
    // A full disk or a private window: the model is used all the same.
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function discard(url: URL): Promise<void> {
  await (await openCache())?.delete(url.href);
}

async function openCache(): Promise<Cache | undefined> {
  try {
    return await caches.open(CACHE);
  } catch {
    return undefined;
  }
}

/** Whether bytes have a checksum; true where the page is not secure and cannot compute it. */
async function matches(bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<boolean> {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}
