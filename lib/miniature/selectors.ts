/**
 * Field and label selectors, as list and watch take them. Pure.
 * Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels, field-selectors.
 *
 * @module
 */
import type { KubeObject, Resource } from "./objects.ts";
import { badRequest } from "./status.ts";

/** Whether an object is meant. */
export type Selector = (object: KubeObject) => boolean;

/** What a `fieldSelector` asks for. */
export interface FieldSelector {
  /** Whether an object is meant. */
  readonly matches: Selector;
  /** The one name it allows, if it names one: access rules look at it. */
  readonly name: string | undefined;
}

/** Parses `metadata.name=x,metadata.namespace!=y`. @throws ApiError 400 for a field that cannot be selected */
export function parseFieldSelector(text: string, resource: Resource): FieldSelector {
  const selectable = ["metadata.name", "metadata.namespace", ...resource.selectableFields];
  const terms = text.split(",").filter((term) => term !== "").map((term) => {
    const [, field, operator, value] = /^(.+?)(!=|==|=)(.*)$/.exec(term) ?? [];
    if (field === undefined || value === undefined) {
      throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    }
    if (!selectable.includes(field)) {
      const known = selectable.map((name) => `"${name}"`).join(", ");
      throw badRequest(`"${field}" is not a known field selector: only ${known}`);
    }
    return { path: field.split("."), wanted: operator !== "!=", value };
  });
  return {
    matches: (object) =>
      terms.every(({ path, wanted, value }) => (String(lookUp(object, path) ?? "") === value) === wanted),
    name: terms.find(({ path, wanted }) => path.join(".") === "metadata.name" && wanted)?.value,
  };
}

/** Parses `a=b,c in (d,e),!f`. @throws ApiError 400 when it cannot be read */
export function parseLabelSelector(text: string): Selector {
  const terms = text.split(/,(?![^(]*\))/).map((term) => term.trim()).filter((term) => term !== "");
  const tests = terms.map((term): (labels: Record<string, string>) => boolean => {
    const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
    if (set !== null) {
      const values = set[3]!.split(",").map((value) => value.trim());
      return (labels) => values.includes(labels[set[1]!] ?? "\0") === (set[2] === "in");
    }
    const equals = /^([^!=\s]+)\s*(!=|==|=)\s*(\S*)$/.exec(term);
    if (equals !== null) {
      return (labels) => (labels[equals[1]!] === equals[3]) === (equals[2] !== "!=");
    }
    const exists = /^(!?)\s*([^\s!=()]+)$/.exec(term);
    if (exists !== null) return (labels) => (labels[exists[2]!] !== undefined) === (exists[1] === "");
    throw badRequest(`unable to parse requirement: found '${term}'`);
  });
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

function lookUp(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
}
