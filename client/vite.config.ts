import { defineConfig } from "vitest/config";

// The build output is part of the Python package, which reads the file names from the manifest.
export default defineConfig({
  base: "./",
  test: { include: ["tests/**/*.test.ts"] },
  build: {
    outDir: "../src/mien/web/static/dist",
    emptyOutDir: true,
    manifest: true,
    modulePreload: { polyfill: false },
    // The content security policy forbids inlined data except images.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: ["live", "upload", "job", "replay", "camera"].map((name) => `src/${name}.ts`),
      output: {
        entryFileNames: "[name]-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
});
