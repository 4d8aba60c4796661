import { defineConfig } from "vitest/config";

// The built files go into the Python package, which reads their names from the manifest.
export default defineConfig({
  base: "./",
  test: { include: ["tests/**/*.test.ts"] },
  build: {
    outDir: "../src/mien/web/static/dist",
    emptyOutDir: true,
    manifest: true,
    modulePreload: { polyfill: false },
    // The content security policy allows no inlined data beyond pictures.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: ["live", "photo", "video", "job", "replay", "camera"].map((name) => `src/${name}.ts`),
      output: {
        entryFileNames: "[name]-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
});
