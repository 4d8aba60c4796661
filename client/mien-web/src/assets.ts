/** Networks and their specs: fetched once, checked, and kept for use without a connection. */

import type { ModelSpec } from "./specs";

const CACHE = "mien-models";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a folder of models could not provide. */
export class AssetError extends Error {
  override name = "AssetError";
}

/**
 * Fetches the spec of a model by name: the newest one, or without a connection the one that was kept.
 *
 * @param assets address of the folder with `NAME.json` and the networks
 * @throws AssetError it cannot be fetched
 */
export async function loadSpec(assets: string, name: string): Promise<ModelSpec> {
  const url = new URL(`${name}.json`, assets);
  const store = await openCache();
  try {
    const bytes = await fetched(url);
    const spec = parsed(bytes, url);
    keep(store, url, bytes);
    return spec;
  } catch (error) {
    const older = await kept(store, url);
    if (!older) throw error;
    return parsed(older, url);
  }
}

/** A spec; a host may answer with a page of its own, which must not replace one that was kept. */
function parsed(bytes: Bytes, url: URL): ModelSpec {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ModelSpec;
  } catch {
    throw new AssetError(`expected the JSON of a model at ${url.href}, got another file; check the folder \`assets\``);
  }
}

/**
 * The network of a spec: the kept one, or a new one, which is kept once its checksum is right.
 *
 * @throws AssetError it cannot be fetched, or differs from its checksum
 */
export async function loadNetwork(assets: string, spec: ModelSpec): Promise<Bytes> {
  const url = new URL(spec.file, assets);
  // The checksum in the address: a newer network never meets an older copy.
  url.searchParams.set("sha256", spec.sha256.slice(0, 16));
  const store = await openCache();
  const known = await kept(store, url);
  if (known && (await matches(known, spec.sha256))) return known;
  const bytes = await fetched(url);
  if (!(await matches(bytes, spec.sha256))) {
    throw new AssetError(`expected ${url.pathname} with SHA-256 ${spec.sha256}, got another file; fetch it again`);
  }
  keep(store, url, bytes);
  return bytes;
}

async function fetched(url: URL): Promise<Bytes> {
  const lost = (error: unknown): never => {
    throw new AssetError(`expected a model at ${url.href}, got no whole answer (${String(error)}); check the connection`);
  };
  const response = await fetch(url).catch(lost);
  if (!response.ok) {
    throw new AssetError(`expected a model at ${url.href}, got HTTP ${response.status}; check the folder \`assets\``);
  }
  return new Uint8Array(await response.arrayBuffer().catch(lost));
}

/** Writes in the background. With a full disk or in a private window, a model is used all the same. */
function keep(store: Cache | undefined, url: URL, bytes: Bytes): void {
  store?.put(url.href, new Response(bytes)).catch(() => undefined);
}

/** What was kept; nothing where the browser cannot read its own storage. */
async function kept(store: Cache | undefined, url: URL): Promise<Bytes | undefined> {
  try {
    const answer = await store?.match(url.href);
    return answer && new Uint8Array(await answer.arrayBuffer());
  } catch {
    return undefined;
  }
}

async function openCache(): Promise<Cache | undefined> {
  try {
    return await caches.open(CACHE);
  } catch {
    return undefined;
  }
}

/** Whether bytes have a checksum; true where the page is not secure and cannot compute it. */
async function matches(bytes: Bytes, sha256: string): Promise<boolean> {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}
