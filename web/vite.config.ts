import { defineConfig } from "vite";

// Two builds of the same code: the page, and one classic script that other sites embed.
export default defineConfig(({ mode }) => ({
  build:
    mode === "widget"
      ? {
          emptyOutDir: false,
          copyPublicDir: false,
          lib: { entry: "src/widget.ts", name: "Parley", formats: ["iife"], fileName: () => "widget.js" },
        }
      : { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
}));
