/**
 * JSON as the API server needs it: equality, merge patches (RFC 7396), and what is made of an object only once. Pure.
 *
 * @module
 */

/** Any JSON object. */
export type JsonObject = Record<string, unknown>;

/** Whether `value` is an object and no list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two JSON values are the same; `undefined` members count as missing. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => equal(value, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  return Object.keys(a).every((key) => equal(a[key], b[key])) &&
    Object.keys(b).every((key) => b[key] === undefined || a[key] !== undefined);
}

/** `target` with the merge patch applied; neither is changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return structuredClone(patch);
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** An object as JSON: made once, so only for objects that are never changed in place. */
export const jsonOf: (object: object) => string = oncePerObject((object) => JSON.stringify(object));

/** `make`, which is called once for each object and then remembered: for objects that are never changed in place. */
export function oncePerObject<T extends object, R>(make: (object: T) => R): (object: T) => R {
  const made = new WeakMap<T, R>();
  return (object) => {
    if (!made.has(object)) made.set(object, make(object));
    return made.get(object)!;
  };
}
