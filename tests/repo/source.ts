/**
 * The repository's source as the rules look at it: its files, and code without comments and strings.
 *
 * @module
 */

/** One file. */
export interface SourceFile {
  /** Relative to the root, with slashes. */
  readonly path: string;
  /** Its content. */
  readonly text: string;
}

/** Every TypeScript file of the program, its tests and its build, sorted by path. */
export async function sourceFiles(root: URL): Promise<readonly SourceFile[]> {
  const files: SourceFile[] = [];
  const walk = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
      const path = `${folder}${name}`;
      if (isDirectory) await walk(`${path}/`);
      else if (name.endsWith(".ts")) files.push({ path, text: await Deno.readTextFile(new URL(path, root)) });
    }
  };
  for (const folder of [".ci/", "lib/", "tests/"]) await walk(folder);
  files.push({ path: "main.ts", text: await Deno.readTextFile(new URL("main.ts", root)) });
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** A `/` after one of these begins a regular expression and is no division. */
const BEFORE_REGEXP = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|await|yield))\s*$/;

/** Code with comments, strings and regular expressions blanked; what stands in `${}` of a template stays. */
export function codeOnly(text: string): string {
  return scan(text, 0, false).code;
}

function scan(text: string, start: number, inTemplate: boolean): { code: string; end: number } {
  let code = "";
  let depth = 0;
  let i = start;
  while (i < text.length) {
    const two = text.slice(i, i + 2);
    const char = text[i]!;
    if (two === "//") i = until(text, i, "\n");
    else if (two === "/*") i = until(text, i + 2, "*/") + 2;
    else if (char === '"' || char === "'") [code, i] = [`${code}""`, endOfString(text, i)];
    else if (char === "`") {
      const template = scanTemplate(text, i + 1);
      code += template.code;
      i = template.end;
    } else if (char === "/" && BEFORE_REGEXP.test(code.slice(-40))) i = endOfRegExp(text, i);
    else {
      if (char === "{") depth += 1;
      if (char === "}" && inTemplate && depth-- === 0) return { code, end: i + 1 };
      code += char;
      i += 1;
    }
  }
  return { code, end: i };
}

function scanTemplate(text: string, start: number): { code: string; end: number } {
  let code = "";
  let i = start;
  while (i < text.length && text[i] !== "`") {
    if (text[i] === "\\") i += 2;
    else if (text.startsWith("${", i)) {
      const inner = scan(text, i + 2, true);
      code += ` ${inner.code} `;
      i = inner.end;
    } else i += 1;
  }
  return { code: `${code}""`, end: i + 1 };
}

function until(text: string, from: number, end: string): number {
  const found = text.indexOf(end, from);
  return found < 0 ? text.length : found;
}

function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== text[start] && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

function endOfRegExp(text: string, start: number): number {
  let inClass = false;
  let i = start + 1;
  for (; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "[") inClass = true;
    else if (text[i] === "]") inClass = false;
    else if (text[i] === "/" && !inClass) break;
  }
  return i + 1;
}

/** What a file imports, statically, dynamically or as a type. */
export function importsOf(text: string): readonly string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*"([^"\n]+)"/g;
  return [...withoutComments(text).matchAll(pattern)].map(([, specifier]) => specifier!);
}

/** Good enough for import lines, which have no string with comment marks in them but URLs. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}
