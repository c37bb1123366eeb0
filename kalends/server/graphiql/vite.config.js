import { defineConfig } from "vite";

// Writes ../static/graphiql: manifest.json for graphiql_page.py, LICENSES.md for the packages inside, and assets/.
export default defineConfig({
  base: "./", // chunks, workers and fonts find one another wherever the page is mounted
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "../static/graphiql",
    emptyOutDir: true,
    manifest: "manifest.json",
    license: { fileName: "LICENSES.md" },
    cssCodeSplit: false,
    modulePreload: false,
    sourcemap: false,
    chunkSizeWarningLimit: 4000, // Monaco
    rolldownOptions: {
      input: "src/main.jsx",
      checks: { moduleLevelDirective: false }, // "use client" means nothing here
    },
  },
  worker: { format: "es" }, // the GraphQL worker loads its formatter on demand
});
