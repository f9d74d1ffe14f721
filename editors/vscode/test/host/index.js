// Runs the tests in the extension host. A line of JSON for each goes into results.jsonl beside the workspace's file.

const { appendFileSync } = require("node:fs");
const { join } = require("node:path");
const { HOME, forget } = require("./stage");
const { tests } = require("./tests");

const LIMIT_MS = 20_000;

function limit(promise) {
  const { promise: late, reject } = Promise.withResolvers();
  const timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function outcome({ name, body }) {
  const start = performance.now();
  try {
    forget();
    await limit(body());
    return { name, ms: Math.round(performance.now() - start) };
  } catch (error) {
    return { name, error: error.stack };
  }
}

exports.run = async () => {
  for (const test of tests) {
    appendFileSync(join(HOME, "results.jsonl"), `${JSON.stringify(await outcome(test))}\n`);
  }
};
