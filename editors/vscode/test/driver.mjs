// A browser for the tests: each line of stdin is a request, each line of stdout its answer.
//   {"do": "press", "with": ["Tab"]}  ->  {"result": null}, or {"error": "…"}
// Arguments: the folder that has playwright-core, the browser's program, the folder of its profile, width, height.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [rig, executablePath, profile, width, height] = process.argv.slice(2);
const { chromium } = createRequire(`${rig}/`)("playwright-core");
const PAGE_SCRIPT = fileURLToPath(new URL("page.js", import.meta.url));
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Runs in the page: makes a released workbench run the tests that its address names. */
function allowTests() {
  const original = Element.prototype.getAttribute;
  Element.prototype.getAttribute = function (name) {
    const value = original.call(this, name);
    if (this.id !== "vscode-workbench-web-configuration" || name !== "data-settings") return value;
    const settings = JSON.parse(value);
    settings.developmentOptions = { ...settings.developmentOptions, enableSmokeTestDriver: true };
    return JSON.stringify(settings);
  };
}

function limit(promise, milliseconds, what) {
  const { promise: late, reject } = Promise.withResolvers();
  const timer = setTimeout(() => reject(new Error(what())), milliseconds);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  args: FLAGS,
  viewport: { width: Number(width), height: Number(height) },
  permissions: ["clipboard-read", "clipboard-write"],
});
await context.addInitScript({ path: PAGE_SCRIPT });
const acceptDialogs = (page) => page.on("dialog", (dialog) => dialog.accept());
context.pages().forEach(acceptDialogs);
context.on("page", acceptDialogs);
let page = context.pages()[0] ?? (await context.newPage());

const actions = {
  /** Turns to a window by its number, which is opened if it is not there yet. */
  window: async (number) => {
    page = context.pages()[number] ?? (await context.newPage());
    await page.bringToFront();
  },
  /** Closes it, and turns to the first. */
  close: async () => {
    await page.close();
    await actions.window(0);
  },
  goto: (url) => page.goto(url).then(() => null),
  press: (key) => page.keyboard.press(key),
  type: (text) => page.keyboard.type(text),
  click: (selector) => page.click(selector),
  call: (name, ...given) => page.evaluate(([name, given]) => flashLs[name](...given), [name, given]),
  screenshot: (path, clip) => page.screenshot({ path, clip: clip ?? undefined, animations: "disabled" }).then(() => null),
  /** Opens an address that names tests, and waits for their end: the exit code and what they wrote. */
  suite: async (url, milliseconds) => {
    const log = [];
    const ended = Promise.withResolvers();
    const tests = await context.newPage();
    await tests.exposeFunction("codeAutomationLog", (type, given) => log.push([type, ...given].join(" ")));
    await tests.exposeFunction("codeAutomationExit", (code) => ended.resolve(code));
    await tests.addInitScript(allowTests);
    await tests.goto(url);
    const code = await limit(ended.promise, milliseconds, () => ["the tests do not end", ...log.slice(-20)].join("\n"));
    await tests.close();
    return { code, log };
  },
};

async function answer(request) {
  try {
    return { result: (await actions[request.do](...request.with)) ?? null };
  } catch (error) {
    return { error: error.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
await context.close();
