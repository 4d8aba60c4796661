// Compresses each built file once, as small as possible; the server sends it as it is.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const out = new URL("../src/mien/web/static/dist/", import.meta.url);
for (const name of readdirSync(out, { recursive: true }).filter((file) => /\.(m?js|css|wasm)$/.test(file))) {
  const content = readFileSync(new URL(name, out));
  // The last level takes a minute for the runtime, and saves a few percent.
  const quality = name.endsWith(".wasm") ? 9 : constants.BROTLI_MAX_QUALITY;
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: 24 };
  writeFileSync(new URL(`${name}.br`, out), brotliCompressSync(content, { params }));
}
