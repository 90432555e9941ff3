/**
 * Reads the fields of a parsed document and checks their types. Collects all problems, each with the file and the path
 * of the field, instead of stopping at the first. Never quotes a value.
 *
 * @module
 */

/** A parsed object. */
export type Fields = Readonly<Record<string, unknown>>;

/** The value if it is an object. */
export function asFields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Fields : undefined;
}

function typeOf(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? "text" : `a ${typeof value}`;
}

/** Collects problems of files. */
export class Problems {
  /** The problems, one line each. */
  readonly lines: string[] = [];

  /** Adds a problem with a field of `file`. */
  field(file: string, path: string, what: string): void {
    this.lines.push(`Cannot use kubeconfig "${file}": field "${path}": ${what}`);
  }

  /** Adds a problem with the whole file. */
  file(file: string, what: string): void {
    this.lines.push(`Cannot use kubeconfig "${file}": ${what}`);
  }
}

/** Reads one object of a document. */
export class FieldReader {
  readonly #problems: Problems;
  /** The file of the object. */
  readonly file: string;
  /** The path of the object in the file. */
  readonly path: string;
  /** The object. */
  readonly fields: Fields;

  /** Reads `fields`, which are at `path` in `file`. */
  constructor(problems: Problems, file: string, path: string, fields: Fields) {
    this.#problems = problems;
    this.file = file;
    this.path = path;
    this.fields = fields;
  }

  /** Adds a problem with the field `name`. */
  problem(name: string, what: string): void {
    this.#problems.field(this.file, this.path === "" ? name : `${this.path}.${name}`, what);
  }

  /** Whether the field exists. */
  has(name: string): boolean {
    const value = this.fields[name];
    return value !== undefined && value !== null && value !== "";
  }

  /** A string. An empty one counts as missing, as in kubectl. */
  text(name: string): string | undefined {
    if (!this.has(name)) return undefined;
    const value = this.fields[name];
    if (typeof value === "string") return value;
    const advice = typeof value === "object" ? "want text" : "want text, put it in quotes";
    this.problem(name, `found ${typeOf(value)}, ${advice}`);
    return undefined;
  }

  /** A boolean, false if it is missing. */
  flag(name: string): boolean {
    if (!this.has(name)) return false;
    const value = this.fields[name];
    if (typeof value !== "boolean") this.problem(name, `found ${typeOf(value)}, want true or false`);
    return value === true;
  }

  /** An object. */
  object(name: string): FieldReader | undefined {
    if (!this.has(name)) return undefined;
    const fields = asFields(this.fields[name]);
    if (fields === undefined) this.problem(name, `found ${typeOf(this.fields[name])}, want an object`);
    return fields &&
      new FieldReader(this.#problems, this.file, this.path === "" ? name : `${this.path}.${name}`, fields);
  }

  /** An empty object at the path of the field `name`. */
  empty(name: string): FieldReader {
    return new FieldReader(this.#problems, this.file, `${this.path}.${name}`, {});
  }

  /** A list, empty if it is missing. */
  list(name: string): readonly unknown[] {
    if (!this.has(name)) return [];
    const value = this.fields[name];
    if (Array.isArray(value)) return value;
    this.problem(name, `found ${typeOf(value)}, want a list`);
    return [];
  }

  /** A list of strings. */
  texts(name: string): readonly string[] {
    return this.list(name).flatMap((value, index) => {
      if (typeof value === "string") return [value];
      this.problem(`${name}[${index}]`, `found ${typeOf(value)}, want text, put it in quotes`);
      return [];
    });
  }

  /** A list of objects. */
  objects(name: string): readonly FieldReader[] {
    return this.list(name).flatMap((value, index) => {
      const fields = asFields(value);
      if (fields === undefined) {
        this.problem(`${name}[${index}]`, `found ${typeOf(value)}, want an object`);
        return [];
      }
      const path = this.path === "" ? `${name}[${index}]` : `${this.path}.${name}[${index}]`;
      return [new FieldReader(this.#problems, this.file, path, fields)];
    });
  }
}
