// Compresses each built file once, as small as possible; the server sends it as it is.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const out = new URL("../src/mien/web/static/dist/", import.meta.url);
const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
for (const name of readdirSync(out).filter((file) => /\.(js|css)$/.test(file))) {
  const content = readFileSync(new URL(name, out));
  writeFileSync(new URL(`${name}.br`, out), brotliCompressSync(content, { params }));
}
