/**
 * What the simulation knows of one proxy: one process of the whole program, on a machine of its own.
 *
 * @module
 */
import type { PoolSettings } from "../../lib/config/builders.ts";
import type { Settings } from "../../lib/config/settings.ts";
import type { ApiPath } from "./api_path.ts";
import type { Machine } from "./time.ts";

/** What one proxy has to do with one StatefulSet. */
export interface Membership {
  /** Its record's name, once it has written one. */
  record: string | undefined;
  /** When its record was last written, true ms. */
  recordedMs: number;
  /** Its record was deleted by hand, and it has not written it again. */
  unrecorded: boolean;
  /** It was not heard of for too long, and then it was: what that has exposed until the StatefulSet's next version. */
  exposed: (Exposure & { readonly version: string }) | undefined;
  /** Replicas that it says it wants. */
  desired: number;
  /** Replicas that it says it has seen; before it has seen any, as many as there may be. */
  observed: number;
  /** When the proxy has said that it is ready for it, true ms; Infinity before. */
  readyMs: number;
  /** It is cut off from the API, by its own word. */
  cutOff: boolean;
}

/** A proxy that starts knows nothing. */
export function newMembership(): Membership {
  return {
    record: undefined,
    recordedMs: -Infinity,
    unrecorded: false,
    exposed: undefined,
    desired: 0,
    observed: Infinity,
    readyMs: Infinity,
    cutOff: false,
  };
}

/** One proxy. */
export interface ProxyProcess {
  readonly machine: Machine;
  readonly path: ApiPath;
  readonly podUid: string;
  /** How many roll-outs its settings have come from: 0 are those of the first proxies. */
  readonly version: number;
  readonly settings: Settings;
  /** The pools that its settings describe. */
  readonly pools: readonly PoolSettings[];
  /** Its part in the agreement on each StatefulSet, by name. */
  readonly memberships: ReadonlyMap<string, Membership>;
  /** Until when the others may not have heard of it; Infinity if they still may not. */
  impairedUntilMs: number;
  /** How many reasons for that last. */
  impairments: number;
  /** Until when it was cut off from the pods, true ms. */
  podsCutOffMs: number;
  /** It has said that it is ready. */
  ready: boolean;
  /** Until when it keeps builders awake, as it has promised clients of `POST /wake`, true ms. */
  readonly keptUntilMs: Map<string, number>;
  /** It was killed. */
  killed: boolean;
  /** It was told to stop. */
  stopping: boolean;
  /** It was told to end at once, or its drain timeout may have passed. */
  cuts: boolean;
  /** It has ended, by itself or not. */
  ended: boolean;
  /** Clients that it says it holds. */
  held: number;
  /** And of them as queued. */
  queued: number;
  /** Sessions that it says it has. */
  open: number;
  readonly drain: AbortController;
  readonly now: AbortController;
}

/** Which sessions a named exception exposes, and by what name. */
export interface Exposure {
  readonly why: string;
  /** Those that had got their seat by then, true ms. */
  readonly seatedByMs: number;
}
