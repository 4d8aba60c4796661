// The folder `models` of the package is served as /models/: copy it to public/. Vite before version 8 must leave the library's files together.
export default {
  base: "./",
  esbuild: { jsx: "automatic" },
  build: { target: "es2022" },
  optimizeDeps: { exclude: ["mien-web"] },
};
