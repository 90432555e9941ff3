/**
 * The rules that keep a scale-down from cutting a session, as a state machine of its own: what has been seen of the
 * StatefulSet, which promises bind, and where a session may be placed. Pure: no time, no I/O. `docs/how-it-decides.md`
 * says why each rule is there.
 *
 * @module
 */

/** The newest state of the StatefulSet that was seen: the same fields as a `Count` of `lib/kube/scale.ts`. */
export interface Seen {
  /** `metadata.resourceVersion` of the StatefulSet object itself. */
  readonly version: string;
  /** `spec.replicas` in that version. */
  readonly replicas: number;
}

/**
 * "I place nothing on an ordinal at or above `below` until I have seen a version newer than `version`." It binds from
 * before the write that it allows is sent, and goes on when that write fails or times out: such a write may still land.
 */
export interface ScalePromise {
  /** The count that a scale-down wants. */
  readonly below: number;
  /** The version that the scale-down's write is conditioned on. */
  readonly version: string;
}

/** One proxy's state under the rules. */
export interface Agreement {
  /** Nothing has been seen at first. */
  readonly seen: Seen | undefined;
  /** The promises that bind. Several do side by side; a later one replaces none. */
  readonly promises: readonly ScalePromise[];
}

/** Before anything was seen. */
export const NOTHING_SEEN: Agreement = { seen: undefined, promises: [] };

const INTEGER = /^[1-9][0-9]*$/;

/**
 * True when version `a` of an object is newer than version `b`. Versions of one resource are integers of any size that
 * grow (promised since Kubernetes 1.35, KEP-5504; true of etcd before). Anything else is never newer: then nothing is
 * taken for news, and no promise ends.
 */
export function isNewer(a: string, b: string): boolean {
  if (!INTEGER.test(a) || !INTEGER.test(b)) return false;
  if (a.length !== b.length) return a.length > b.length;
  return a > b;
}

/**
 * Takes note of a state of the StatefulSet, from a watch event, a read, or the reply to a write of our own. A state
 * that is not newer than the newest seen changes nothing. The count is taken over in the same step that ends promises,
 * so no session is placed by the old count after a promise has ended.
 */
export function see(agreement: Agreement, seen: Seen): Agreement {
  if (agreement.seen !== undefined && !isNewer(seen.version, agreement.seen.version)) return agreement;
  return { seen, promises: agreement.promises.filter(({ version }) => !isNewer(seen.version, version)) };
}

/** What one proxy's sessions use or need: a lower count may take it away. */
export interface InTheWay {
  /** The highest ordinal with a session, dialling ones included; -1 without one. */
  readonly highest: number;
  /** How many pods its held sessions need. */
  readonly needed: number;
}

/** Whether sessions block a scale-down to `below`: then no promise is made, and no answer is given. */
export function blocks({ highest, needed }: InTheWay, below: number): boolean {
  return highest >= below || needed > below;
}

/**
 * What a claim writes: never fewer than there are, on condition of the version that the count was read at. Its reply is
 * newer than every promise that was made before it landed, if its field manager is new.
 */
export function claimOf({ replicas, version }: Seen, needed: number): Seen {
  return { replicas: Math.max(replicas, needed), version };
}

/**
 * Makes a promise. The caller has checked that no session {@link blocks} it. A promise on an older version than was
 * seen is not needed: no write on condition of that version can land any more.
 */
export function promise(agreement: Agreement, made: ScalePromise): Agreement {
  const { seen, promises } = agreement;
  if (seen !== undefined && isNewer(seen.version, made.version)) return agreement;
  // Of two promises on one version, the lower one includes the other.
  const rest = promises.filter(({ version, below }) => version !== made.version || below < made.below);
  return rest.some(({ version }) => version === made.version)
    ? agreement
    : { seen, promises: [...rest, made] };
}

/** Sessions may be placed on ordinals below this: within the count seen, and below every promise that binds. */
export function placeableBelow({ seen, promises }: Agreement): number {
  return Math.min(seen?.replicas ?? 0, closedFrom(promises));
}

/** The lowest ordinal that a promise closes; `Infinity` when none binds. */
export function closedFrom(promises: readonly ScalePromise[]): number {
  return Math.min(Infinity, ...promises.map(({ below }) => below));
}
