import { App } from "./app.ts";

const app = new App("/api/token");
document.getElementById("parley")?.append(app.element);
// For looking into a call from the browser's console.
Object.assign(window, { parley: app });
