// The folder `models` of the package is served as /models/.
export default { base: "./", esbuild: { jsx: "automatic" }, build: { target: "es2022" } };
