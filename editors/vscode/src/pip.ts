/** What pip prints, made short enough for a progress notification. Pure. */

const STEPS: readonly (readonly [RegExp, string])[] = [
  [/^Processing (?:\S*[\\/])?([^\\/\s]+)$/, "reading $1"],
  [/^Collecting ([^\s;<>=!~[(]+)/, "looking for $1"],
  [/^\s*(?:Downloading|Using cached) (?:\S*\/)?([^-\s]+)\S*(?: \(([^)]+)\))?/, "downloading $1 $2"],
  [/^Installing collected packages/, "installing the packages"],
];

/** The step that a line begins, if it begins one. */
export function step(line: string): string | undefined {
  for (const [pattern, text] of STEPS) {
    const found = pattern.exec(line);
    if (found) {
      return text.replace(/\$(\d)/g, (_, index) => found[Number(index)] ?? "").trim();
    }
  }
  return undefined;
}

/** What went wrong, out of all that was printed. */
export function problem(output: string): string {
  const said = output.split("\n").filter((line) => line.trim());
  const error = said.filter((line) => /^\s*ERROR:/.test(line)).pop();
  return (error ?? said.pop() ?? "it said nothing").replace(/^\s*ERROR:\s*/, "").trim();
}
