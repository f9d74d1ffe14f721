/** Bundle the extension into dist/; with --tests, the tests of its parts that need no editor into dist/test/. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));
const TESTS = readdirSync(join(FOLDER, "src")).filter((name) => name.endsWith(".test.ts"));

const shared = {
  absWorkingDir: FOLDER,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "warning",
};

/** Two bundles: what runs when the editor starts is small, and loads the rest when that is needed. */
const bundles = {
  ...shared,
  entryPoints: ["src/extension.ts", "src/session.ts"],
  outdir: "dist",
  external: ["vscode", "./session"],
  minify: true,
};

const tests = {
  ...shared,
  entryPoints: TESTS.map((name) => `src/${name}`),
  outdir: "dist/test",
  external: ["vscode"],
  sourcemap: "inline",
};

/** The licences of the packages in the bundles, as these ask for. */
function licences({ inputs }) {
  const folders = Object.keys(inputs).map((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  return [...new Set(folders.filter(Boolean))].sort().map((folder) => {
    const name = readdirSync(join(FOLDER, folder)).find((file) => /^licen[cs]e/i.test(file));
    return `${folder.replace("node_modules/", "")}\n\n${readFileSync(join(FOLDER, folder, name), "utf8")}`;
  });
}

const wanted = process.argv.includes("--tests") ? tests : bundles;
rmSync(join(FOLDER, "dist/test"), { recursive: true, force: true });
const { metafile } = await esbuild.build({ ...wanted, metafile: true });
if (wanted === bundles) {
  writeFileSync(join(FOLDER, "dist/licences.txt"), licences(metafile).join("\n\n"));
}
