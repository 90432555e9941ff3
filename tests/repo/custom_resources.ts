/**
 * Checks custom resources in documents and examples against the schemas of their definitions, as far as a structural
 * schema goes: unknown and missing fields, types, enumerations, patterns and bounds. Rules in CEL are not checked.
 *
 * `schemas/custom_resources.json` holds the schemas, taken from the Go modules that each entry names as its source,
 * without descriptions and without fields that no document uses (`status`, Argo CD's `sources`, Istio's `http`).
 *
 * @module
 */
import schemas from "./schemas/custom_resources.json" with { type: "json" };

/** The part of an OpenAPI schema that {@link customResourceViolations} reads. */
interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-int-or-string"?: boolean;
}

/** An object of Kubernetes as YAML shows it. */
export interface CustomResource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** What the definition of `object` refuses, or undefined when its definition is not at hand. */
export function customResourceViolations(object: CustomResource): string[] | undefined {
  const { apiVersion, kind, metadata: _, ...fields } = object;
  const known = (schemas as unknown as Readonly<Record<string, { readonly schema: Schema }>>)[
    `${apiVersion}/${kind}`
  ];
  return known === undefined ? undefined : violations(fields, known.schema, kind);
}

function violations(value: unknown, schema: Schema, path: string): string[] {
  if (schema["x-kubernetes-int-or-string"]) {
    return ["number", "string"].includes(typeof value) ? [] : [`${path}: want an integer or a string`];
  }
  if (schema.type !== undefined && !isOfType(value, schema.type)) return [`${path}: want ${schema.type}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return [`${path}: found ${JSON.stringify(value)}, want one of ${JSON.stringify(schema.enum)}`];
  }
  if (typeof value === "string") return ofString(value, schema, path);
  if (typeof value === "number") return bounds(value, schema.minimum, schema.maximum, path);
  if (Array.isArray(value)) {
    const { items = {} } = schema;
    return [
      ...bounds(value.length, schema.minItems, schema.maxItems, `${path}: length`),
      ...value.flatMap((item, index) => violations(item, items, `${path}[${index}]`)),
    ];
  }
  return typeof value === "object" && value !== null ? ofObject(value, schema, path) : [];
}

function ofString(value: string, { pattern, minLength, maxLength }: Schema, path: string): string[] {
  return [
    ...bounds(value.length, minLength, maxLength, `${path}: length`),
    ...pattern === undefined || new RegExp(pattern).test(value)
      ? []
      : [`${path}: "${value}" does not match ${pattern}`],
  ];
}

function ofObject(value: object, schema: Schema, path: string): string[] {
  const { properties = {}, additionalProperties: others, required = [] } = schema;
  const free = schema["x-kubernetes-preserve-unknown-fields"] || others === true;
  return [
    ...required.filter((name) => !(name in value)).map((name) => `${path}.${name}: is missing`),
    ...Object.entries(value).flatMap(([name, content]) => {
      const own = properties[name] ?? (typeof others === "object" ? others : undefined);
      if (own !== undefined) return violations(content, own, `${path}.${name}`);
      return free ? [] : [`${path}.${name}: is unknown`];
    }),
  ];
}

function bounds(value: number, least = -Infinity, most = Infinity, path: string): string[] {
  return value >= least && value <= most
    ? []
    : [`${path}: found ${value}, want at least ${least} and at most ${most}`];
}

function isOfType(value: unknown, type: string): boolean {
  const found = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  return found === type || (type === "integer" && Number.isInteger(value));
}
