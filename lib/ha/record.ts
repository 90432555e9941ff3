/**
 * A proxy's record: what the proxy tells the others, and how that is written into a Lease of its own. Pure. Durations
 * are as of the write, so that no clock of another machine matters. (The election has another Lease, which is no
 * record.)
 *
 * @module
 */
import { selectorOf } from "../kube/shared_watch.ts";
import { fnv1a } from "../base/fnv1a.ts";
import type { Lease } from "../kube/types.ts";

/** The scale target that records belong to. */
export interface RecordTarget {
  /** The StatefulSet's name. */
  readonly name: string;
  /** The StatefulSet's namespace; the proxies' records and the election's Lease are there, too. */
  readonly namespace: string;
  /** The StatefulSet's uid. */
  readonly uid: string;
}

/** "I want to lower the count to `below`, on condition of `version`." Stands in the leader's record. */
export interface Announcement {
  /** Grows with each announcement of this leader. */
  readonly generation: number;
  /** The count that is wanted. */
  readonly below: number;
  /** The StatefulSet's version that the write will be conditioned on. */
  readonly version: string;
}

/** What one proxy has in use, and what it has agreed to. */
export interface RecordBody {
  /** Ordinals with sessions (`busy`, `idleMs` 0), and those that had some, with the time since the last one ended. */
  readonly inUse: readonly { readonly ordinal: number; readonly busy: boolean; readonly idleMs: number }[];
  /** Held sessions that call for a pod. */
  readonly needing: number;
  /** Time since the last held session ceased to call for one; null if there was none. */
  readonly neededMs: number | null;
  /** For how long this proxy knows all that was in use, by itself or from others. */
  readonly knowsForMs: number;
  /** For each leader the generation of its last announcement that this proxy has answered. */
  readonly answers: Readonly<Record<string, number>>;
  /** Sessions that count for the load of a pod, by ordinal; without it, one for each ordinal that is busy. */
  readonly sessions?: Readonly<Record<string, number>>;
  /** For how long the oldest session waits that is queued for one of the interchangeable builders; absent if none is. */
  readonly queuedMs?: number;
  /** This proxy only observes: it never answers. */
  readonly observes?: true;
  /** This proxy's own announcement, while it leads and wants to lower the count. */
  readonly announcement: Announcement | null;
}

/** A proxy's record as read. */
export interface ProxyRecord {
  /** The Lease that it stands in: see {@link keptOf}. */
  readonly lease: Lease;
  /** The process that wrote it; new with every start. */
  readonly identity: string;
  /** The pod that the process runs in, where it runs in one: its uid. */
  readonly podUid: string | undefined;
  /** How long it is good for without a change. */
  readonly expiryMs: number;
  /** What it says; undefined if it is not read, or cannot be: written by another version of the program, or by hand. */
  readonly body: RecordBody | undefined;
}

/** A record is renewed at least this many times within its expiry: every 30 s of 5 min. */
export const RENEWALS = 10;

/** The layout of the record. One that is not known counts as busy everywhere. */
const FORMAT = "1";

const PREFIX = "buildkitd-autoscaler.earthbuild.dev";
const NAME_LABEL = `${PREFIX}/statefulset`;
const UID_LABEL = `${PREFIX}/statefulset-uid`;
const KIND_LABEL = `${PREFIX}/kind`;
const FORMAT_ANNOTATION = `${PREFIX}/format`;
const RECORD_ANNOTATION = `${PREFIX}/record`;
const POD_ANNOTATION = `${PREFIX}/pod-uid`;

/** Labels that find all proxies' records of a scale target, also those of an earlier StatefulSet of the same name. */
export function recordSelector({ name }: Pick<RecordTarget, "name">): string {
  return recordsSelector([name]);
}

/** A label that finds the records of all scale targets of a namespace. */
export const ALL_RECORDS = `${KIND_LABEL}=proxy`;

/** Labels that find those of several scale targets. */
export function recordsSelector(names: readonly string[]): string {
  return `${selectorOf(NAME_LABEL, names.map(labelValue))},${ALL_RECORDS}`;
}

/** What tells the records of one scale target from those of others: a label's value. */
export function recordKey({ name }: Pick<RecordTarget, "name">): string {
  return labelValue(name);
}

/** The {@link recordKey} of a record. */
export function recordKeyOf({ metadata }: Lease): string | undefined {
  return metadata?.labels?.[NAME_LABEL];
}

/** The record's Lease, without version and uid. */
export function recordLease(
  target: RecordTarget,
  { identity, podUid, expiryMs, renewed, body }: {
    identity: string;
    podUid: string | undefined;
    expiryMs: number;
    /** RFC 3339 with microseconds; only for people. */
    renewed: string;
    body: RecordBody;
  },
): Lease {
  return {
    metadata: {
      ...leaseMetadata(target, leaseName(target.name, `proxy-${identity}`), "proxy"),
      annotations: {
        [FORMAT_ANNOTATION]: FORMAT,
        [RECORD_ANNOTATION]: JSON.stringify(body),
        ...(podUid === undefined ? {} : { [POD_ANNOTATION]: podUid }),
      },
    },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(expiryMs / 1000),
      renewTime: renewed,
    },
  };
}

/** Longer texts are not read, in characters. A proxy writes 40 KB of 500 pods, which is the most that it may start. */
const LONGEST_RECORD = 64 * 1024;

/** The maximum of a Kubernetes name; proxies' identities are shorter. */
const LONGEST_NAME = 253;

/**
 * The parts of a record's Lease that are needed again. Lists of who owns which field are not among them, and whoever may write
 * Leases makes none of them long.
 */
export function keptOf({ metadata = {}, spec = {} }: Lease): Lease {
  const { name, uid, resourceVersion } = metadata;
  const short = (values: Readonly<Record<string, string>> = {}, keys: readonly string[], longest: number) =>
    Object.fromEntries(keys.flatMap((key) => {
      const value = values[key];
      return value === undefined || value.length > longest ? [] : [[key, value]];
    }));
  return {
    metadata: {
      ...(name !== undefined && { name }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      labels: short(metadata.labels, [KIND_LABEL, NAME_LABEL, UID_LABEL], LONGEST_NAME),
      annotations: {
        ...short(metadata.annotations, [FORMAT_ANNOTATION, POD_ANNOTATION], LONGEST_NAME),
        ...short(metadata.annotations, [RECORD_ANNOTATION], LONGEST_RECORD),
      },
    },
    spec: {
      ...(spec.holderIdentity !== undefined &&
        { holderIdentity: spec.holderIdentity.slice(0, LONGEST_NAME) }),
      ...(spec.leaseDurationSeconds !== undefined && { leaseDurationSeconds: spec.leaseDurationSeconds }),
    },
  };
}

/**
 * Reads a record, but for what it says if that is not to be read; undefined when it belongs to another StatefulSet of the same
 * name than `target`, which is gone.
 */
export function parseRecord(lease: Lease, target: RecordTarget, isRead = true): ProxyRecord | undefined {
  return lease.metadata?.labels?.[UID_LABEL] === target.uid ? parseAnyRecord(lease, isRead) : undefined;
}

/** Reads a record, whichever StatefulSet it belongs to; but for what it says if that is not to be read. */
export function parseAnyRecord(given: Lease, isRead = true): ProxyRecord {
  const lease = keptOf(given);
  const { metadata, spec } = lease;
  return {
    lease,
    identity: spec?.holderIdentity ?? metadata?.name ?? "",
    podUid: metadata?.annotations?.[POD_ANNOTATION],
    expiryMs: (spec?.leaseDurationSeconds ?? LONGEST_EXPIRY_S) * 1000,
    body: isRead ? parseBody(metadata?.annotations) : undefined,
  };
}

/** A record that does not say how long it is good for is good for this long. */
const LONGEST_EXPIRY_S = 3600;

function parseBody(annotations: Readonly<Record<string, string>> | undefined): RecordBody | undefined {
  if (annotations?.[FORMAT_ANNOTATION] !== FORMAT) return undefined;
  try {
    const body = JSON.parse(annotations[RECORD_ANNOTATION] ?? "");
    return isBody(body) ? withoutBadCounts(body) : undefined;
  } catch {
    return undefined;
  }
}

/** The agreement does not depend on these numbers, so bad ones do not make a record unreadable. */
function withoutBadCounts({ sessions, queuedMs, ...body }: RecordBody): RecordBody {
  const isGood = typeof sessions === "object" && sessions !== null &&
    Object.entries(sessions).every(([ordinal, count]) => isCount(Number(ordinal)) && isCount(count));
  return { ...body, ...(isGood && { sessions }), ...(isTime(queuedMs) && { queuedMs: queuedMs! }) };
}

const isTime = (value: unknown) => typeof value === "number" && value >= 0;
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;

// deno-lint-ignore no-explicit-any -- it checks what any JSON may be
function isBody(body: any): body is RecordBody {
  return typeof body === "object" && body !== null && Array.isArray(body.inUse) &&
    // deno-lint-ignore no-explicit-any -- as above
    body.inUse.every((use: any) =>
      isCount(use?.ordinal) && isTime(use.idleMs) && typeof use.busy === "boolean"
    ) &&
    isCount(body.needing) && (body.neededMs === null || isTime(body.neededMs)) && isTime(body.knowsForMs) &&
    typeof body.answers === "object" && body.answers !== null &&
    Object.values(body.answers).every(isCount) &&
    (body.announcement === null || isAnnouncement(body.announcement));
}

// deno-lint-ignore no-explicit-any -- as above
function isAnnouncement(value: any): value is Announcement {
  return Number.isSafeInteger(value?.generation) && Number.isSafeInteger(value.below) && value.below >= 0 &&
    typeof value.version === "string";
}

/** What all Leases of a scale target have in common; they go when the StatefulSet goes, if that was seen. */
export function leaseMetadata(
  { name, namespace, uid }: Omit<RecordTarget, "uid"> & Partial<RecordTarget>,
  leaseName: string,
  kind: "proxy" | "election",
): NonNullable<Lease["metadata"]> {
  return {
    name: leaseName,
    namespace,
    labels: {
      "app.kubernetes.io/managed-by": "buildkitd-autoscaler",
      [KIND_LABEL]: kind,
      [NAME_LABEL]: labelValue(name),
      ...(uid !== undefined && { [UID_LABEL]: uid }),
    },
    ...(uid !== undefined &&
      { ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name, uid }] }),
  };
}

/** A Lease's name: of the StatefulSet's as much as fits, and what tells it apart. */
export function leaseName(statefulSet: string, suffix: string): string {
  const name = `${statefulSet}-${suffix}`;
  if (name.length <= 253) return name;
  return `${cut(statefulSet, 230 - suffix.length)}-${hash(statefulSet)}-${suffix}`;
}

/** A name as a label's value, which has at most 63 characters. */
function labelValue(name: string): string {
  return name.length <= 63 ? name : `${cut(name, 50)}-${hash(name)}`;
}

/** The beginning of a name: no part of a name may end with a dot or a dash. */
function cut(name: string, length: number): string {
  return name.slice(0, length).replace(/[^a-z0-9]+$/, "");
}

/** Tells long names apart. */
function hash(text: string): string {
  return (fnv1a(text) >>> 0).toString(16).padStart(8, "0");
}
