/**
 * How builders, and listeners of projects and pools, are written: `--builders`, `--listeners`, `--cordoned`. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, parseAddress } from "./address.ts";
import { label, list, subdomain, type ValueType } from "./value_types.ts";

/** The pool of the builders that are written without one. */
export const DEFAULT_POOL = "";

/** One entry of `--builders`. */
export interface BuilderEntry {
  /** The pool that it belongs to. */
  readonly pool: string;
  /** The StatefulSet. */
  readonly name: string;
  /** Its headless Service. */
  readonly service: string;
}

/** One entry of `--listeners`: a listener of its own for a project or a pool. */
export interface DoorSettings {
  /** Where clients connect. */
  readonly address: Address;
  /** The project of all its clients, as it was written. Without it, each client's project is found by name. */
  readonly project?: string;
  /** The pool that serves its clients, if it is not the default pool. */
  readonly pool?: string;
}

/** `[pool/]name[@service]`, with commas between. */
export const builderList: ValueType<readonly BuilderEntry[] | undefined> = listOf(
  "builder",
  "buildkitd, buildkitd-b2, arm64/buildkitd-arm64@arm64-headless",
  readBuilder,
  ({ pool, name, service }) => `${pool === DEFAULT_POOL ? "" : `${pool}/`}${name}@${service}`,
);

/** `project name[@pool]=address` or `pool name=address`, with commas between. */
export const doorList: ValueType<readonly DoorSettings[] | undefined> = listOf(
  "listener",
  "project team-a=:8401, pool arm64=:8373, project team-b@arm64=:8402",
  readDoor,
  (door) => `${doorName(door)}=${formatListenAddress(door.address)}`,
);

/** Names of builders, with commas between. */
export const builderNames: ValueType<readonly string[] | undefined> = list(
  "builder",
  "buildkitd,buildkitd-b2",
  subdomain.parse,
  String,
);

/** What a listener is for, as it is written: `project team-b@arm64`. */
export function doorName({ project, pool }: Pick<DoorSettings, "project" | "pool">): string {
  if (project === undefined) return `pool ${pool}`;
  return `project ${project}${pool === undefined ? "" : `@${pool}`}`;
}

/** A list that says what is wrong with its first bad entry: `read` returns what it wants instead. */
function listOf<T extends object>(
  placeholder: string,
  example: string,
  read: (entry: string) => T | string | undefined,
  format: (value: T) => string,
): ValueType<readonly T[] | undefined> {
  const parse = (entry: string) => {
    const value = read(entry);
    return typeof value === "object" ? value : undefined;
  };
  const all = list(placeholder, example, parse, format);
  const want = (text: string) =>
    text.split(",").map((entry) => read(entry.trim())).find((each) => typeof each !== "object");
  return { ...all, want: (text) => want(text) ?? all.want(text) };
}

function readBuilder(entry: string): BuilderEntry | string | undefined {
  const match = /^(?:([^/@]+)\/)?([^/@]+)(?:@([^/@]+))?$/.exec(entry);
  if (match === null) return undefined;
  const name = match[2]!;
  const [, pool = DEFAULT_POOL, , service = `${name}-headless`] = match;
  if (pool !== DEFAULT_POOL && label.parse(pool) === undefined) return instead("a pool", pool, label);
  if (subdomain.parse(name) === undefined) return instead("a StatefulSet", name, subdomain);
  return { pool, name, service };
}

function readDoor(entry: string): DoorSettings | string | undefined {
  const match = /^(project|pool)\s+([^\s@=]+)(?:@([^\s@=]+))?\s*=\s*(\S+)$/.exec(entry);
  if (match === null) return undefined;
  const [, kind, name, of, at] = match as unknown as [string, string, string, string | undefined, string];
  const [project, pool] = kind === "project" ? [name, of] : [undefined, name];
  if (kind === "pool" && of !== undefined) return undefined;
  if (project !== undefined && subdomain.parse(project) === undefined) {
    return instead("a project", project, subdomain);
  }
  if (pool !== undefined && label.parse(pool) === undefined) return instead("a pool", pool, label);
  const address = parseAddress(at);
  if (address === undefined) return `an address such as ":8401" instead of ${quote(at)}`;
  return {
    address,
    ...project === undefined ? {} : { project },
    ...pool === undefined ? {} : { pool },
  };
}

function instead(what: string, found: string, type: ValueType<string>): string {
  return `the name of ${what}, ${type.want(found)}, instead of ${quote(found)}`;
}

/** A part of the text, on one line. */
function quote(part: string): string {
  return JSON.stringify(part.slice(0, 40));
}
