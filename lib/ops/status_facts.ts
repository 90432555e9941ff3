/**
 * What the status page and `/status.json` show: types only. Times are ISO 8601 in UTC, durations are seconds; what is not
 * known is absent.
 *
 * @module
 */
import type { BuilderState } from "../base/metrics.ts";
import type { PodPhase } from "./history.ts";

/** What was saved, and what it has cost. */
export interface SavedFacts {
  /** Pods that were not there, times the time. */
  readonly podSecondsAsleep: number;
  /** Pods that were started because somebody wanted them. */
  readonly coldStarts: number;
  /** How long clients of this proxy have waited for pods, added up. */
  readonly secondsWaited: number;
  /** What the time asleep would have cost, with `--price-per-hour`. */
  readonly money?: number;
}

/** What an idle timeout would have saved and cost, on the sessions seen. */
export interface WhatIfFacts extends Omit<SavedFacts, "secondsWaited"> {
  /** The idle timeout. */
  readonly idleTimeoutSeconds: number;
  /** It is the one that is set. */
  readonly isSet: boolean;
  /** Pods that would have been there, times the time. */
  readonly podSecondsRunning: number;
  /** What clients would have waited: absent while no cold start was seen. */
  readonly secondsWaited?: number;
}

/** One pod. */
export interface PodFacts {
  /** Its name; absent while nothing is seen of it. */
  readonly name?: string;
  /** Counted from 0. */
  readonly ordinal: number;
  /** What it is doing. */
  readonly phase: PodPhase;
  /** Sessions of this proxy on it. */
  readonly sessions: number;
}

/** One point of a timeline: what the builder looked like from then on. */
export interface PointFacts {
  /** Since when. */
  readonly at: string;
  /** The replica count. */
  readonly replicas?: number;
  /** In observe mode, the replica count that there would be without it. */
  readonly virtualReplicas?: number;
  /** The phases of its pods by ordinal; null where there is none. */
  readonly pods: readonly (PodPhase | null)[];
  /** Sessions on its pods. */
  readonly sessions: number;
  /** Sessions that are held for it. */
  readonly held: number;
  /** Sessions that are queued for its pool. */
  readonly queued: number;
}

/** A change of the count. */
export interface DecisionFacts {
  /** When. */
  readonly at: string;
  /** The code of its log event, such as `scaled`. */
  readonly event: string;
  /** The event in words. */
  readonly text: string;
  /** The count before. */
  readonly from?: number;
  /** The count after. */
  readonly to?: number;
  /** Why. */
  readonly because?: string;
}

/** In observe mode, what there would be without it. */
export interface ObservedFacts {
  /** The replica count that there would be; absent while the real one is not known. */
  readonly replicas?: number;
  /** What would have been saved since this proxy started; the seconds waited are estimated. */
  readonly saved: SavedFacts;
  /** How long a cold start takes in the estimate. */
  readonly startSeconds: number;
  /** A pod has shown that; otherwise it is an assumption. */
  readonly isStartMeasured: boolean;
}

/** One builder. */
export interface BuilderFacts {
  /** The StatefulSet's name. */
  readonly name: string;
  /** The pool that it belongs to; empty for the default pool. */
  readonly pool: string;
  /** How far it can be used. */
  readonly state: BuilderState;
  /** The replica count. */
  readonly replicas?: number;
  /** The replicas that the present state calls for. */
  readonly desired?: number;
  /** Why. */
  readonly because: string;
  /** When the next scale-down is due, unless a client comes first. */
  readonly scaleDownAt?: string;
  /** What is wrong. */
  readonly faults: readonly string[];
  /** Why clients wait, while some do. */
  readonly waitsBecause?: string;
  /** Sessions of this proxy on its pods. */
  readonly sessions: number;
  /** Sessions of this proxy that are held for it. */
  readonly held: number;
  /** Its pods. */
  readonly pods: readonly PodFacts[];
  /** The settings that decide about its count. */
  readonly settings: {
    readonly idleTimeoutSeconds: number;
    readonly floor: number;
    readonly maxReplicas: number;
  };
  /** Since this proxy started. */
  readonly saved: SavedFacts;
  /** What there would be without observe mode; only in it. */
  readonly observed?: ObservedFacts;
  /** Since `whatIfSince`. */
  readonly whatIf: readonly WhatIfFacts[];
  /** Since when sessions are known for `whatIf`. */
  readonly whatIfSince?: string;
  /** The last decisions, the newest first. */
  readonly decisions: readonly DecisionFacts[];
  /** What it has looked like, the oldest first. */
  readonly timeline: readonly PointFacts[];
}

/** Somebody who waits. */
export interface WaitFacts {
  /** The session's number, as in the log. */
  readonly session: number;
  /** The client's address. */
  readonly client?: string;
  /** The name in the client's certificate. */
  readonly clientName?: string;
  /** Whose session it is. */
  readonly project?: string;
  /** The pool that it came to. */
  readonly pool: string;
  /** What it waits for: a pod, room on a builder, or nothing, since it only watches. */
  readonly waitsFor: "pod" | "room" | "nothing";
  /** The builder that it waits for. */
  readonly builder?: string;
  /** Since when. */
  readonly since: string;
}

/** A session that has ended. */
export interface SessionFacts {
  /** When. */
  readonly at: string;
  /** Its number, as in the log. */
  readonly session: number;
  /** The client's address. */
  readonly client?: string;
  /** The name in the client's certificate. */
  readonly clientName?: string;
  /** Whose session it was. */
  readonly project?: string;
  /** The pod that it was on. */
  readonly pod?: string;
  /** Why it went to its builder, with several builders. */
  readonly routed?: string;
  /** How it ended. */
  readonly outcome: string;
  /** Why. */
  readonly reason?: string;
  /** For how long it was held. */
  readonly secondsHeld: number;
  /** How long it took in all. */
  readonly seconds: number;
}

/** Another proxy in front of a builder. */
export interface ProxyFacts {
  /** Its identity, as in its record. */
  readonly identity: string;
  /** It leads: it is the one that scales down. */
  readonly leads: boolean;
  /** It is this one. */
  readonly isThis: boolean;
  /** What it has in use, by builder. */
  readonly uses: readonly { readonly builder: string; readonly text: string }[];
}

/** Who is queued for a pool. */
export interface QueueFacts {
  /** The pool's name; empty for the default pool. */
  readonly pool: string;
  /** Sessions that wait for a pod or for room. */
  readonly waiting: number;
  /** Those of them that wait for room. */
  readonly queued: number;
}

/** Everything. */
export interface StatusFacts {
  /** The program's version. */
  readonly version: string;
  /** When this was written. */
  readonly now: string;
  /** When the program started. */
  readonly started: string;
  /** Whether it takes connections: what `/readyz` says. */
  readonly ready: boolean;
  /** Why not. */
  readonly notReadyBecause?: string;
  /** Sessions of this proxy now. */
  readonly sessions: { readonly open: number; readonly held: number };
  /** This proxy writes no count (`--observe`). */
  readonly observes: boolean;
  /** What would have been saved without observe mode, of all builders; only in it. */
  readonly wouldSave?: SavedFacts;
  /** What a pod costs, with `--price-per-hour`. */
  readonly price?: { readonly perHour: number; readonly currency: string };
  /** Of all builders. */
  readonly saved: SavedFacts;
  /** In their declared order. */
  readonly builders: readonly BuilderFacts[];
  /** Of all pools. */
  readonly queues: readonly QueueFacts[];
  /** Sessions that wait, the first to come first. */
  readonly waiting: readonly WaitFacts[];
  /** Those that wait and are not listed. */
  readonly moreWaiting: number;
  /** All proxies that are alive. */
  readonly proxies: readonly ProxyFacts[];
  /** The last sessions that have ended, the newest first. */
  readonly lastSessions: readonly SessionFacts[];
}
