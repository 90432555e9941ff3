/**
 * The mutation run: what it changes, which tests it chooses, and that the list of harmless mutants fits the program.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ALLOWED, sortOut } from "../mutation/allowed.ts";
import type { Allowed } from "../mutation/allowed/entry.ts";
import { importGraph, runtimeImports, testsOf } from "../mutation/import_graph.ts";
import { diffOf, type Mutant, mutantsOf, mutated } from "../mutation/operators.ts";
import { tableOf, wilson } from "../mutation/report.ts";
import { isMutated, sampleOf } from "../mutation/run.ts";
import { ROOT } from "./generated.ts";
import { type SourceFile, sourceFiles } from "./source.ts";

/** The changes of a text as `operator: from → to`. */
function changes(text: string): readonly string[] {
  return mutantsOf("lib/a/a.ts", text).map(({ operator, from, to }) => `${operator}: ${from} → ${to}`);
}

for (
  const { text, want } of [
    { text: "if (a) b();", want: ["a → true", "a → false", "a → !(a)", "b(); → {}"] },
    { text: "x = a < b;", want: ["< → <=", "< → >=", "x = a < b; → {}"] },
    { text: "x = a === b;", want: ["=== → !==", "x = a === b; → {}"] },
    { text: "const x = a + b;", want: ["+ → -"] },
    { text: "const x = a && !b;", want: ["a → !(a)", "&& → ||", "!b → b"] },
    { text: "const x = a ?? b;", want: ["a ?? b → a", "a ?? b → b"] },
    { text: "const x = a?.b;", want: ["?. → ."] },
    { text: "while (a < b) c++;", want: ["a < b → false", "< → <=", "< → >=", "c++; → {}", "c++ → c--"] },
    { text: "const f = () => a;", want: ["a → undefined"] },
    {
      text: "function f() { a(); return b; }",
      want: ["{ a(); return b; } → {}", "a(); → {}", "b → undefined"],
    },
    { text: "await a();", want: ["await a(); → {}"] },
    { text: "const x = 15 * 60 * 1000;", want: ["15 → 30"] },
    { text: "const x = [0, ...a];", want: ["[0, ...a] → []", "0 → 1", "...a → ...[]"] },
    {
      text: "const x = a.some(b).slice(1);",
      want: ["a.some(b).slice(1) → a.some(b)", "some → every", "1 → 0"],
    },
    { text: 'const x = a === "open";', want: ["=== → !==", '"open" → ""'] },
  ]
) {
  Deno.test(`mutantsOf() changes ${text}`, () => {
    assert.deepEqual(changes(text).map((each) => each.replace(/^[\w ]+: /, "")).sort(), want.toSorted());
  });
}

Deno.test("mutantsOf() leaves alone types, imports, and texts for people", () => {
  for (
    const text of [
      'import { a } from "./b.ts";',
      'type A = "one" | "two"; interface B { readonly c?: "d" }',
      'log.debug("event", { a: b > 1 });',
      'const x = new Error(`Cannot read "${a ? b : c}"`);',
      'const x = "a text with spaces";',
      "const x = f(signal, { once: true });",
      'const x = `${n} session${n === 1 ? "" : "s"} held`;',
    ]
  ) assert.deepEqual(changes(text), [], text);
});

Deno.test("mutantsOf() keeps an id when other lines change, and has each only once", () => {
  const line = "const x = a < b; const y = a < b;\n";
  const before = mutantsOf("lib/a/a.ts", line);
  assert.equal(new Set(before.map(({ id }) => id)).size, before.length);
  assert.deepEqual(
    mutantsOf("lib/a/a.ts", `// More.\n\n${line}`).map(({ id }) => id),
    before.map(({ id }) => id),
  );
});

Deno.test("mutated() and diffOf() make and show one change", () => {
  const text = "a();\nif (b) {\n  c();\n  d();\n} else e();\n";
  const mutant = mutantsOf("lib/a/a.ts", text).find(({ operator }) => operator === "block removal")!;
  assert.equal(mutated(text, mutant), "a();\nif (b) {} else e();\n");
  assert.equal(
    diffOf(text, mutant),
    ["- if (b) {", "-   c();", "-   d();", "- } else e();", "+ if (b) {} else e();"].map((l) => `    ${l}`)
      .join("\n"),
  );
});

Deno.test("runtimeImports() does not follow types", () => {
  const text =
    'import { a, type A } from "a"; import type { B } from "b"; import { type C } from "c"; import "d";\n' +
    'export * from "e"; export type { F } from "f"; const g = await import("g"); import h from "h";';
  assert.deepEqual(runtimeImports(text), ["a", "d", "e", "g", "h"]);
});

Deno.test("testsOf() chooses the tests that see a file, nearest first", () => {
  const file = (path: string, ...imports: string[]): SourceFile => ({
    path,
    text: imports.map((each) => `import "${each}";`).join("\n"),
  });
  const graph = importGraph([
    file("lib/ha/a.ts"),
    file("lib/ha/b.ts", "./a.ts"),
    file("lib/app.ts", "./ha/b.ts"),
    file("main.ts", "./lib/app.ts"),
    file("tests/unit/ha/a_test.ts", "../../../lib/ha/a.ts"),
    file("tests/unit/ha/b_test.ts", "../../../lib/ha/b.ts"),
    file("tests/unit/ha/also_a_test.ts", "../../../lib/ha/a.ts"),
    file("tests/unit/ha/c_test.ts"),
    file("tests/unit/scaler/a_test.ts", "../../../lib/ha/a.ts"),
    file("tests/unit/scaler/app_test.ts", "../../../lib/app.ts"),
    file("tests/property/b_test.ts", "../../lib/ha/b.ts"),
    file("tests/repo/generated_test.ts", "../../lib/ha/b.ts"),
    file("tests/repo/rules_test.ts", "../../lib/ha/b.ts"),
    file("tests/integration/app_test.ts", "../../lib/app.ts"),
    file("tests/integration/ha/b_test.ts", "../../../lib/ha/b.ts"),
    { path: "tests/integration/main_test.ts", text: 'start("main.ts");' },
  ]);
  const own = [
    ["tests/unit/ha/a_test.ts"],
    ["tests/unit/ha/also_a_test.ts"],
    [
      "tests/unit/ha/b_test.ts",
      "tests/property/b_test.ts",
      "tests/unit/scaler/a_test.ts",
      "tests/repo/generated_test.ts",
    ],
    ["tests/integration/ha/b_test.ts"],
  ];
  assert.deepEqual(testsOf("lib/ha/a.ts", graph, false), own);
  assert.deepEqual(testsOf("lib/ha/a.ts", graph, true), [
    ...own,
    ["tests/integration/app_test.ts"],
    ["tests/integration/main_test.ts"],
  ]);
  assert.deepEqual(testsOf("lib/app.ts", graph, false), [["tests/unit/scaler/app_test.ts"]]);
});

Deno.test("sortOut() tells harmless mutants and entries that fit nothing", () => {
  const [path, text] = ["lib/a/a.ts", "a();\nb();\n"];
  const mutants = mutantsOf(path, text);
  const fitting: Allowed = { path, line: "b();", to: "{}", reason: "b does nothing" };
  const stale: Allowed = { path, line: "c();", reason: "there was a c" };
  const sorted = sortOut(mutants, new Map([[path, text]]), [fitting, stale]);
  const from = (list: readonly Mutant[]) => list.map((mutant) => mutant.from);
  assert.deepEqual([from(sorted.wanted), from(sorted.harmless), sorted.stale], [["a();"], ["b();"], [stale]]);
});

Deno.test("wilson() is the interval of a sample", () => {
  const rounded = (hits: number, total: number) => wilson(hits, total).map((share) => share.toFixed(3));
  assert.deepEqual(rounded(45, 60), ["0.628", "0.842"]);
  assert.deepEqual(rounded(10, 10), ["0.722", "1.000"]);
});

Deno.test("tableOf() counts a time-out and a type error as noticed", () => {
  const outcomes = ["tests", "timeout", "types", "survived"] as const;
  const row = tableOf([{ folder: "ha", mutants: 4, harmless: 2, outcomes }]).split("\n").at(-1);
  assert.equal(row, "| ha | 4 | 4 | 3 | 1 | 1 | 1 | 2 | 75.0 |  |");
});

Deno.test("sampleOf() chooses by the seed", () => {
  const all = Array.from({ length: 100 }, (_, i) => i);
  assert.deepEqual(sampleOf(all, 5, 1), sampleOf(all, 5, 1));
  assert.notDeepEqual(sampleOf(all, 5, 1), sampleOf(all, 5, 2));
  assert.equal(new Set(sampleOf(all, 1000, 1)).size, 100);
});

Deno.test("ALLOWED: every entry fits a mutant and has a reason", async () => {
  const files = (await sourceFiles(ROOT)).filter(({ path }) => isMutated(path));
  const mutants = files.flatMap(({ path, text }) => mutantsOf(path, text));
  assert.ok(mutants.length > 1000, "the mutants were found");
  assert.deepEqual(sortOut(mutants, new Map(files.map(({ path, text }) => [path, text]))).stale, []);
  for (const { line, reason } of ALLOWED) assert.ok(reason.length > 10, line);
});
