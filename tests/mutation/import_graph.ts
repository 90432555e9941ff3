/**
 * Which tests see a file: the graph of imports as the runtime follows it, so without those of types.
 *
 * @module
 */
import ts from "typescript";
import type { SourceFile } from "../repo/source.ts";

/** Each file's imports within the repository, by path. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Groups of test files, each run if the ones before have noticed nothing. */
export type Stages = readonly (readonly string[])[];

/** The graph of these files. Who names `main.ts` in a text starts the program, and counts as importing it. */
export function importGraph(files: readonly SourceFile[]): ImportGraph {
  return new Map(files.map(({ path, text }) => {
    const imports = runtimeImports(text).filter((specifier) => specifier.startsWith("."))
      .map((specifier) => new URL(specifier, `file:///${path}`).pathname.slice(1));
    return [path, /"(?:[./]*\/)?main\.ts"/.test(text) ? [...imports, "main.ts"] : imports];
  }));
}

/** What a file imports at run time, statically or dynamically. */
export function runtimeImports(text: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isStatic = (ts.isImportDeclaration(node) && !isOfTypes(node.importClause)) ||
      (ts.isExportDeclaration(node) && !node.isTypeOnly);
    const specifier = isStatic
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
      ? node.arguments[0]
      : undefined;
    if (specifier !== undefined && ts.isStringLiteral(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("file.ts", text, ts.ScriptTarget.Latest));
  return found;
}

function isOfTypes(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const names = clause.namedBindings;
  return clause.name === undefined && names !== undefined && ts.isNamedImports(names) &&
    names.elements.length > 0 && names.elements.every(({ isTypeOnly }) => isTypeOnly);
}

/** How many imports each file is away from `target`; a file that never reaches it is not there. */
export function distancesTo(target: string, graph: ImportGraph): ReadonlyMap<string, number> {
  const importers = new Map<string, string[]>();
  for (const [path, imports] of graph) {
    for (const each of imports) importers.set(each, [...importers.get(each) ?? [], path]);
  }
  const distances = new Map([[target, 0]]);
  for (const [path, distance] of distances) {
    for (const importer of importers.get(path) ?? []) {
      if (!distances.has(importer)) distances.set(importer, distance + 1);
    }
  }
  return distances;
}

/**
 * The tests for a file of `lib`: of its folder and of `tests/property` first those that have its name, then those that are
 * nearest to it, then the others, with the unit tests of other folders that import it directly and with the test of what
 * is generated; then the exhaustive ones that import it directly; then those of its folder on real sockets; and last, if
 * thorough, other integration and simulation, one by one. For a file that no test of its folder reaches, those of other
 * folders take their place, or else those of the repository's rules.
 */
export function testsOf(path: string, graph: ImportGraph, thorough: boolean): Stages {
  const distances = distancesTo(path, graph);
  const reaching = (folder: string) =>
    [...distances].filter(([test]) => test.startsWith(folder) && test.endsWith("_test.ts"))
      .sort(([a, near], [b, far]) => near - far || (a < b ? -1 : 1));
  const own = [...reaching(`tests/unit/${folderOf(path)}/`), ...reaching("tests/property/")];
  const nearest = Math.min(...own.map(([, distance]) => distance));
  const direct = (tests: typeof own) => tests.filter(([, distance]) => distance === 1);
  const others = reaching("tests/unit/").filter(([test]) => !own.some(([each]) => each === test));
  const namesake = `/${path.replace(/^.*\/|\.ts$/g, "")}_test.ts`;
  const first = own.filter(([test]) => test.endsWith(namesake));
  const generated = reaching("tests/repo/").filter(([test]) => test.endsWith("/generated_test.ts"));
  const anywhere = others.length > 0 ? others : reaching("tests/repo/");
  const onSockets = reaching(`tests/integration/${folderOf(path)}/`);
  const slow = [...reaching("tests/integration/"), ...reaching("tests/simulation/")]
    .filter(([test]) => !onSockets.some(([each]) => each === test));
  const stages = [
    first,
    own.filter((test) => test[1] === nearest && !first.includes(test)),
    [
      ...own.filter((test) => test[1] > nearest && !first.includes(test)),
      ...own.length === 0 ? anywhere : [...direct(others), ...generated],
    ],
    direct(reaching("tests/exhaustive/")),
    onSockets,
    ...thorough ? slow.map((test) => [test]) : [],
  ];
  return stages.map((stage) => stage.map(([test]) => test)).filter((stage) => stage.length > 0);
}

/** The folder that a file of `lib` counts to; `app` for the one without. */
export function folderOf(path: string): string {
  return /^lib\/([^/]+)\//.exec(path)?.[1] ?? "app";
}
