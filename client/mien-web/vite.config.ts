import { cpSync, mkdirSync } from "node:fs";
import { defineConfig } from "vite";

const here = import.meta.dirname;
const outDir = `${here}/../../src/mien/web/static/dist/device`;

/** onnxruntime's own files lie beside the library and are loaded by the worker; the site has plain files. */
function copyFiles() {
  return {
    name: "copy-files",
    closeBundle() {
      cpSync(`${here}/site/static`, `${outDir}/site`, { recursive: true });
      mkdirSync(`${outDir}/runtime`, { recursive: true });
      for (const kind of ["mjs", "wasm"]) {
        const file = `ort-wasm-simd-threaded.${kind}`;
        cpSync(`${here}/../node_modules/onnxruntime-web/dist/${file}`, `${outDir}/runtime/${file}`);
      }
    },
  };
}

// The library: one module and its worker, and the page of `mien export-site`. It is part of the Python package, whose live page uses it;
// tools/pack_web.py makes the npm package from it.
export default defineConfig({
  base: "./",
  root: here,
  publicDir: false,
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "development|production"] },
  plugins: [copyFiles()],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { "mien-web": `${here}/src/index.ts`, "mien-camera": `${here}/src/camera.ts`, "site/site": `${here}/site/site.ts` },
      external: ["mien-web"],
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "[name].js", chunkFileNames: "mien-[name].js", paths: { "mien-web": "./mien-web.js" } },
    },
  },
  worker: {
    format: "es",
    rollupOptions: { output: { entryFileNames: "mien-worker.js" } },
  },
});
