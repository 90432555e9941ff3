/**
 * The repository keeps its rules, and each rule finds what breaks it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ROOT } from "./generated.ts";
import {
  consoleViolations,
  importCycles,
  importViolations,
  LAYERS,
  layerViolations,
  longFunctionViolations,
  moduleCommentViolations,
  OUTSIDE,
  outsideUses,
  outsideViolations,
  pinViolations,
  routeViolations,
  runtimeViolations,
  seatViolations,
  skippedTestViolations,
} from "./rules.ts";
import { codeOnly, type SourceFile, sourceFiles } from "./source.ts";

const files = await sourceFiles(ROOT);

function assertNone(rule: (file: SourceFile) => string[]): void {
  assert.ok(files.length > 20, "the files were found");
  assert.deepEqual(files.flatMap(rule), []);
}

function at(path: string, text: string): SourceFile {
  return { path, text };
}

Deno.test("repo: a file imports only from its own layer or a lower one", () => {
  assertNone(layerViolations);
});

Deno.test("repo: CONTRIBUTING.md has each layer in one row, below those that it may import from", async () => {
  const text = await Deno.readTextFile(new URL("CONTRIBUTING.md", ROOT));
  const rows = [...text.matchAll(/^\| (`lib\/[^|]*)/gm)].map(([, folders]) => folders!);
  const named = rows.flatMap((folders) => [...folders.matchAll(/`lib\/(\w+)`/g)].map(([, name]) => name!));
  assert.deepEqual(named.filter((name) => LAYERS.some((layer) => layer === name)), LAYERS);
  assert.equal(new Set(named).size, named.length, "no folder is in two rows");
});

Deno.test("layerViolations() finds imports that go up, to the demo and out of the program", () => {
  const up = at("lib/base/a.ts", 'import { b } from "../proxy/b.ts";');
  const type = at("lib/config/a.ts", 'import type { b } from "../kube/b.ts";');
  const lazy = at("lib/ops/a.ts", 'await import("../app.ts");');
  const demo = at("lib/miniature/a.ts", 'import { runDemo } from "../demo/demo.ts";');
  const miniature = at("lib/app.ts", 'import { Kubelet } from "./miniature/kubelet.ts";');
  const out = at("lib/app.ts", 'export * from "../tests/unit/a.ts";');
  for (const file of [up, type, lazy, demo, miniature, out]) {
    assert.equal(layerViolations(file).length, 1, file.text);
  }
  assert.throws(() => layerViolations(at("lib/helpers/a.ts", "")), /no layer "helpers"/);
});

Deno.test("layerViolations() lets imports go down and within a layer", () => {
  const down = at("lib/proxy/a.ts", 'import { b } from "../base/b.ts";\nimport c from "./c.ts";');
  const demo = at("lib/demo/a.ts", 'import { runApp } from "../app.ts";');
  const comment = at("lib/base/a.ts", '// import { b } from "../proxy/b.ts";');
  for (const file of [down, demo, comment]) assert.deepEqual(layerViolations(file), []);
});

Deno.test("repo: sessions know their seats, and nothing else of the cluster", () => {
  assertNone(seatViolations);
});

Deno.test("seatViolations() finds what sessions import of scaling, types included", () => {
  const scaling = at("lib/proxy/a.ts", 'import type { Placement } from "../scaler/placement.ts";');
  const target = at("lib/proxy/a.ts", 'import { Target } from "../target/target.ts";');
  for (const file of [scaling, target]) assert.equal(seatViolations(file).length, 1, file.text);
  const seats = at("lib/proxy/a.ts", 'import type { Seats } from "../target/seats.ts";');
  const above = at("lib/app/a.ts", 'import { Target } from "../target/target.ts";');
  for (const file of [seats, above]) assert.deepEqual(seatViolations(file), []);
});

Deno.test("repo: whoever chooses a builder writes nothing, and knows no other proxy", () => {
  assertNone(routeViolations);
});

Deno.test("routeViolations() finds what routes import of the API and of other proxies, types included", () => {
  const api = at("lib/route/a.ts", 'import { KubeClient } from "../kube/client.ts";');
  const proxies = at("lib/route/a.ts", 'import type { Proxies } from "../ha/proxies.ts";');
  for (const file of [api, proxies]) assert.equal(routeViolations(file).length, 1, file.text);
  const target = at("lib/route/a.ts", 'import type { Target } from "../target/target.ts";');
  const above = at("lib/app/a.ts", 'import { KubeClient } from "../kube/client.ts";');
  for (const file of [target, above]) assert.deepEqual(routeViolations(file), []);
});

Deno.test("repo: no files import each other in a circle, in tests and build neither", () => {
  assert.deepEqual(importCycles(files), []);
});

Deno.test("importCycles() finds circles of any length, also of types, and nothing else", () => {
  const a = at("lib/a.ts", 'import { b } from "./b.ts";\nimport d from "./sub/d.ts";');
  const b = at("lib/b.ts", 'import type { C } from "./sub/c.ts";');
  const d = at("lib/sub/d.ts", 'import { c } from "./c.ts";');
  const open = at("lib/sub/c.ts", 'import { e } from "npm-package";');
  assert.deepEqual(importCycles([a, b, open, d]), []);
  const closed = at("lib/sub/c.ts", 'export { a } from "../a.ts";');
  assert.deepEqual(importCycles([a, b, closed, d]), [
    "lib/a.ts -> lib/b.ts -> lib/sub/c.ts -> lib/a.ts",
  ]);
  assert.deepEqual(importCycles([at("lib/a.ts", 'import "./a.ts";')]), ["lib/a.ts -> lib/a.ts"]);
});

Deno.test("repo: no function of the program needs scrolling", () => {
  assertNone(longFunctionViolations);
});

Deno.test("longFunctionViolations() finds functions of any kind, and only long ones", () => {
  const body = (lines: number) => "{\n" + "  a();\n".repeat(lines - 2) + "}";
  for (
    const before of ["function f() ", "const f = () => ", "class A { f() ", "const f = async function () "]
  ) {
    const after = before.startsWith("class") ? " }" : ";";
    assert.deepEqual(longFunctionViolations(at("lib/a.ts", before + body(70) + after)), []);
    assert.equal(longFunctionViolations(at("lib/a.ts", before + body(71) + after)).length, 1, before);
  }
  assert.deepEqual(longFunctionViolations(at("tests/a.ts", `function f() ${body(71)}`)), []);
});

Deno.test("repo: only the files that are meant to touch the outside do", () => {
  assertNone(outsideViolations);
});

Deno.test("repo: every file that may touch the outside is there and does", () => {
  for (const [path, reason] of OUTSIDE) {
    const file = files.find((each) => each.path === path);
    assert.ok(file !== undefined, `${path} exists`);
    assert.ok(outsideUses(file).length > 0, `${path} touches the outside`);
    assert.ok(reason.length > 10);
  }
});

Deno.test("outsideViolations() finds what reaches outside, also in templates", () => {
  const uses = [
    "Deno.readTextFile(path)",
    "await fetch(url)",
    "setTimeout(f, 1)",
    "Date.now()",
    "new Date()",
    "Math.random()",
    "performance.now()",
    "crypto.randomUUID()",
    "`${Deno.args}`",
    "AbortSignal.timeout(5)",
    'import net from "node:net";',
    'import { randomBytes } from "node:crypto";',
  ];
  for (const use of uses) assert.equal(outsideViolations(at("lib/kube/a.ts", use)).length, 1, use);
});

Deno.test("outsideViolations() passes over comments, strings, ports and error classes", () => {
  const text = [
    "/** Deno.listen is one implementation */ // fetch(x)",
    'const a = "Deno.args", b = `Date.now()`, c = /Deno.args/;',
    "error instanceof Deno.errors.AddrInUse; clock.setTimer(5, f); http.fetch(x); new Date(ms);",
  ].join("\n");
  assert.deepEqual(outsideViolations(at("lib/kube/a.ts", text)), []);
});

Deno.test("codeOnly() keeps code after strings, templates and regular expressions", () => {
  assert.equal(
    codeOnly('f("/*", `a${b("x")}c`, /[/"]/.test(y) ? a / b : c); // z'),
    'f("",  b("") "", .test(y) ? a / b : c); ',
  );
});

Deno.test("repo: every file starts with a module comment", () => {
  assertNone(moduleCommentViolations);
});

Deno.test("moduleCommentViolations() finds a missing and an empty comment", () => {
  for (const text of ["export const a = 1;", "/** A thing that is documented. */", "/**\n * @module\n */"]) {
    assert.equal(moduleCommentViolations(at("lib/base/a.ts", text)).length, 1, text);
  }
});

Deno.test("repo: imports go by the names in deno.json", () => {
  assertNone(importViolations);
});

Deno.test("importViolations() finds direct imports", () => {
  for (const specifier of ["jsr:@std/assert", "npm:left-pad", "https://example.com/a.ts"]) {
    assert.equal(importViolations(at("lib/base/a.ts", `import a from "${specifier}";`)).length, 1, specifier);
  }
});

Deno.test("repo: nothing relies on what a Deno in use does wrong", () => {
  assertNone(runtimeViolations);
});

Deno.test("runtimeViolations() finds AbortSignal.any, in tests and build as well", () => {
  for (const path of ["lib/base/a.ts", "tests/e2e/a.ts", ".ci/a.ts"]) {
    assert.equal(runtimeViolations(at(path, "AbortSignal.any([a, b])")).length, 1, path);
  }
});

Deno.test("repo: nothing is printed past the log", () => {
  assertNone(consoleViolations);
});

Deno.test("consoleViolations() finds console", () => {
  assert.equal(consoleViolations(at("lib/base/a.ts", 'console.log("x");')).length, 1);
});

Deno.test("repo: no test is left out", () => {
  assertNone(skippedTestViolations);
});

Deno.test("skippedTestViolations() finds tests that do not run", () => {
  for (
    const text of [
      'Deno.test.only("a", f);',
      'Deno.test.ignore("a", f);',
      "Deno.test({ ignore: true, fn: f });",
    ]
  ) {
    assert.equal(skippedTestViolations(at("tests/unit/a_test.ts", text)).length, 1, text);
  }
});

Deno.test("repo: every dependency is pinned, and the lock file is frozen", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const lock = JSON.parse(await Deno.readTextFile(new URL("deno.lock", ROOT)));
  assert.deepEqual(pinViolations(config.imports), []);
  assert.equal(config.lock.frozen, true);
  for (const [name, { integrity }] of Object.entries<{ integrity: string }>(lock.npm)) {
    assert.match(integrity, /^sha512-/, name);
  }
  assert.equal(lock.jsr, undefined);
});

Deno.test("pinViolations() finds ranges and other registries", () => {
  assert.equal(
    pinViolations({ a: "npm:a@^1.0.0", b: "npm:b", c: "jsr:@std/c@1.0.0", d: "npm:d@1.0" }).length,
    4,
  );
});
