import { defineConfig } from "vite";

const shared = {
  target: "es2022",
  cssTarget: ["chrome123", "firefox120", "safari17.5"], // the first with light-dark()
  chunkSizeWarningLimit: 600, // kB before gzip; livekit-client alone is 490
};

const page = { ...shared, assetsInlineLimit: 0, modulePreload: { polyfill: false } };

const widget = {
  ...shared,
  emptyOutDir: false,
  copyPublicDir: false,
  lib: { entry: "src/widget.ts", name: "Parley", formats: ["iife" as const], fileName: () => "widget.js" },
};

// Two builds of the same code: the page, and one classic script that other sites embed.
export default defineConfig(({ mode }) => ({ build: mode === "widget" ? widget : page }));
