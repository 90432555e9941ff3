/**
 * How builders and listeners of projects and pools are written: `--builders`, `--listeners`, `--cordoned`. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, parseAddress } from "./address.ts";
import { label, list, subdomain, type ValueType } from "./value_types.ts";

/** The pool of builders without another one. */
export const DEFAULT_POOL = "";

/** One entry of `--builders`: `[pool/]name[@service]`. */
export interface BuilderEntry {
  /** The pool that it belongs to. */
  readonly pool: string;
  /** The StatefulSet. */
  readonly name: string;
  /** Its headless Service. */
  readonly service: string;
}

/** A listener of its own for a project or a pool. */
export interface DoorSettings {
  /** Where clients connect. */
  readonly address: Address;
  /** The project of all its clients, as it was written. Without one their project is found by name. */
  readonly project?: string;
  /** The pool that serves its clients; without one the default pool. */
  readonly pool?: string;
}

/** Entries of `--builders`. */
export const builderList: ValueType<readonly BuilderEntry[] | undefined> = list(
  "builder",
  "buildkitd,buildkitd-b2,arm64/buildkitd-arm64@buildkitd-arm64-headless",
  parseBuilder,
  ({ pool, name, service }) => `${pool === DEFAULT_POOL ? "" : `${pool}/`}${name}@${service}`,
);

/** Entries of `--listeners`. */
export const doorList: ValueType<readonly DoorSettings[] | undefined> = list(
  "listener",
  "project team-a=:8401, pool arm64=:8373, project team-b@arm64=:8402",
  parseDoor,
  formatDoor,
);

/** Names of builders. */
export const builderNames: ValueType<readonly string[] | undefined> = list(
  "builder",
  "buildkitd,buildkitd-b2",
  subdomain.parse,
  String,
);

function parseBuilder(text: string): BuilderEntry | undefined {
  const [, pool = DEFAULT_POOL, name = "", service = `${name}-headless`] =
    /^(?:([^/@]+)\/)?([^/@]+)(?:@([^/@]+))?$/.exec(text) ?? [];
  const isRight = (pool === DEFAULT_POOL || label.parse(pool)) && subdomain.parse(name);
  return isRight ? { pool, name, service } : undefined;
}

function parseDoor(text: string): DoorSettings | undefined {
  const [, kind, name = "", of, at = ""] =
    /^(project|pool)\s+([^\s@=]+)(?:@([^\s@=]+))?\s*=\s*(\S+)$/.exec(text) ?? [];
  const address = parseAddress(at);
  if (address === undefined || (of !== undefined && label.parse(of) === undefined)) return undefined;
  if (kind === "pool") return of === undefined && label.parse(name) ? { address, pool: name } : undefined;
  if (subdomain.parse(name) === undefined) return undefined;
  return { address, project: name, ...of === undefined ? {} : { pool: of } };
}

function formatDoor({ address, project, pool }: DoorSettings): string {
  const of = project === undefined
    ? `pool ${pool}`
    : `project ${project}${pool === undefined ? "" : `@${pool}`}`;
  return `${of}=${formatListenAddress(address)}`;
}
