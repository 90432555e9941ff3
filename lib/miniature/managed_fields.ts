/**
 * Who owns which field: server-side apply, and what other writes do to it. Pure. Lists are taken as one value
 * (atomic), which is right for every field that this project applies.
 * Source: kubernetes.io/docs/reference/using-api/server-side-apply.
 *
 * @module
 */
import { equal, isObject, type JsonObject, oncePerObject } from "./json.ts";
import type { FieldsV1, KubeObject, ManagedFieldsEntry } from "./objects.ts";
import { ApiError } from "./status.ts";

/** Who writes, and how. */
export interface Writer {
  /** The field manager. */
  readonly manager: string;
  /** The subresource that is written through, if any. */
  readonly subresource?: string | undefined;
  /** The API version of the written object. */
  readonly apiVersion: string;
  /** When, RFC 3339. */
  readonly time: string;
}

/** Fields of `metadata` that no manager owns. */
const UNOWNED = new Set([
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
]);

/** `managedFields` after a write that is no apply: what it changed belongs to the writer and to nobody else. */
export function afterUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  writer: Writer,
): readonly ManagedFieldsEntry[] {
  const { changed, gone } = compare(before, after);
  // A Scale leaves a count of 0 out, so nobody owns it.
  if (writer.subresource === "scale") {
    const values = leaves(after);
    for (const path of [...changed].filter((path) => values.get(path) === "0")) {
      changed.delete(path);
      gone.add(path);
    }
  }
  const entries = before?.metadata.managedFields ?? [];
  if (changed.size === 0 && gone.size === 0) return entries;
  const mine = find(entries, writer, "Update");
  const others = without(entries.filter((entry) => entry !== mine), new Set([...changed, ...gone]));
  const had = mine === undefined ? new Set<string>() : fieldsOf(mine);
  const owned = had.union(changed).difference(gone);
  if (owned.size === 0) return others;
  const isSame = mine !== undefined && owned.size === had.size && owned.isSubsetOf(had);
  return [...others, isSame ? { ...mine, time: writer.time } : entryOf(writer, "Update", owned)];
}

/**
 * Server-side apply of `patch` to `live`: the merged object with its new `managedFields`.
 *
 * @throws ApiError 409 when another manager owns a field with another value and `force` is false
 */
export function applyTo(live: KubeObject, patch: JsonObject, writer: Writer, force: boolean): KubeObject {
  const wanted = leaves(patch), current = leaves(live);
  // A Scale leaves a count of 0 out, so an apply through it always sets that field anew, for itself alone.
  if (writer.subresource === "scale") {
    for (const [path, value] of current) if (value === "0") current.delete(path);
  }
  const entries = live.metadata.managedFields ?? [];
  const mine = find(entries, writer, "Apply");
  const others = entries.filter((entry) => entry !== mine);
  const changed = new Set([...wanted.keys()].filter((path) => wanted.get(path) !== current.get(path)));
  if (!force) refuseConflicts(others, changed);
  const merged = structuredClone(live) as unknown as JsonObject;
  for (const path of wanted.keys()) set(merged, JSON.parse(path), at(patch, JSON.parse(path)));
  // What was written through another path does not keep a count that is given up through `/scale`.
  const keepers = others.filter(({ subresource }) => subresource === writer.subresource);
  const owners = keepers.flatMap((entry) => [...fieldsOf(entry)]);
  const lost = new Set<string>();
  for (const path of mine === undefined ? [] : fieldsOf(mine)) {
    if (wanted.has(path) || owners.includes(path)) continue;
    // A Scale without a count is a count of 0.
    set(merged, JSON.parse(path), writer.subresource === "scale" ? 0 : undefined);
    lost.add(path);
  }
  const object = merged as unknown as KubeObject;
  const paths = [...wanted.keys()].sort();
  const entry = mine !== undefined && same([...fieldsOf(mine)].sort(), paths)
    ? mine
    : entryOf(writer, "Apply", new Set(paths));
  const left = without(others, changed.union(lost));
  if (paths.length === 0) {
    object.metadata.managedFields = mine === undefined ? entries : left;
    return object;
  }
  const isNew = entry !== mine || left.length < others.length || left.some((it) => !others.includes(it));
  object.metadata.managedFields = isNew ? [...left, entry] : entries;
  return object;
}

function refuseConflicts(others: readonly ManagedFieldsEntry[], changed: ReadonlySet<string>): void {
  const causes = others.flatMap((entry) =>
    [...fieldsOf(entry)].filter((path) => changed.has(path)).map((path) => ({
      reason: "FieldManagerConflict",
      message: `conflict with "${entry.manager}"` +
        (entry.subresource === undefined ? "" : ` with subresource "${entry.subresource}"`),
      field: (JSON.parse(path) as string[]).map((key) => `.${key}`).join(""),
    }))
  );
  if (causes.length === 0) return;
  const message = causes.length === 1
    ? `Apply failed with 1 conflict: ${causes[0]!.message}: ${causes[0]!.field}`
    : `Apply failed with ${causes.length} conflicts: ${
      causes.map((c) => `${c.message}: ${c.field}`).join(", ")
    }`;
  throw new ApiError(409, "Conflict", message, { causes });
}

function find(entries: readonly ManagedFieldsEntry[], writer: Writer, operation: string) {
  return entries.find((entry) =>
    entry.manager === writer.manager && entry.operation === operation &&
    entry.subresource === writer.subresource && entry.apiVersion === writer.apiVersion
  );
}

function entryOf(
  writer: Writer,
  operation: "Apply" | "Update",
  paths: ReadonlySet<string>,
): ManagedFieldsEntry {
  const fieldsV1: JsonObject = {};
  for (const path of [...paths].sort()) {
    set(fieldsV1, (JSON.parse(path) as string[]).map((key) => `f:${key}`), {});
  }
  return {
    manager: writer.manager,
    operation,
    apiVersion: writer.apiVersion,
    time: writer.time,
    fieldsType: "FieldsV1",
    fieldsV1: fieldsV1 as FieldsV1,
    ...(writer.subresource === undefined ? {} : { subresource: writer.subresource }),
  };
}

function without(entries: readonly ManagedFieldsEntry[], lost: ReadonlySet<string>): ManagedFieldsEntry[] {
  return entries.flatMap((entry) => {
    const paths = fieldsOf(entry);
    if (paths.isDisjointFrom(lost)) return [entry];
    const left = paths.difference(lost);
    return left.size === 0 ? [] : [{ ...entry, ...entryOf(entry, entry.operation, left) }];
  });
}

/** The entry's fields as JSON arrays of keys. */
function fieldsOf({ fieldsV1 }: ManagedFieldsEntry): ReadonlySet<string> {
  return pathsIn(fieldsV1);
}

const pathsIn = oncePerObject<FieldsV1, ReadonlySet<string>>((fields) => flatten(fields));

function flatten(fields: FieldsV1, prefix: readonly string[] = []): Set<string> {
  const paths = new Set<string>();
  for (const [key, below] of Object.entries(fields)) {
    const path = [...prefix, key.slice("f:".length)];
    if (Object.keys(below).length === 0) paths.add(JSON.stringify(path));
    for (const deeper of flatten(below, path)) paths.add(deeper);
  }
  return paths;
}

/** Whether no manager owns what is there, whatever it is. */
function isUnowned(path: readonly string[]): boolean {
  return path.length === 1 && (path[0] === "apiVersion" || path[0] === "kind") ||
    path.length === 2 && path[0] === "metadata" && UNOWNED.has(path[1]!);
}

/** The owned fields, as JSON arrays of keys, that are new or have another value, and those that are not there any more. */
function compare(before: unknown, after: unknown): { changed: Set<string>; gone: Set<string> } {
  const changed = new Set<string>(), gone = new Set<string>();
  const walk = (old: unknown, now: unknown, path: readonly string[]) => {
    if (isUnowned(path)) return;
    const oldTree = isObject(old) ? old : {}, nowTree = isObject(now) ? now : {};
    for (const key of new Set([...Object.keys(oldTree), ...Object.keys(nowTree)])) {
      if (oldTree[key] !== nowTree[key]) walk(oldTree[key], nowTree[key], [...path, key]);
    }
    const oldLeaf = leafOf(old), nowLeaf = leafOf(now);
    if (equal(oldLeaf, nowLeaf)) return;
    (nowLeaf === undefined ? gone : changed).add(JSON.stringify(path));
  };
  walk(before, after, []);
  return { changed, gone };
}

/** A value that a manager owns as a whole; none for an object, whose fields are owned, and for one that is not there. */
function leafOf(value: unknown): unknown {
  return isObject(value) || value === null ? undefined : value;
}

/** Every owned field of an object: path as a JSON array of keys → value as JSON. */
function leaves(object: unknown): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: readonly string[]) => {
    if (isUnowned(path) || value === null || value === undefined) return;
    if (isObject(value)) {
      for (const [key, below] of Object.entries(value)) walk(below, [...path, key]);
    } else found.set(JSON.stringify(path), JSON.stringify(value));
  };
  walk(object, []);
  return found;
}

function at(tree: JsonObject, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as JsonObject | undefined)?.[key], tree);
}

function set(tree: JsonObject, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const key of path.slice(0, -1)) node = (node[key] ??= {}) as JsonObject;
  if (value === undefined) delete node[path.at(-1)!];
  else node[path.at(-1)!] = value;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
