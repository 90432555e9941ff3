/**
 * Facts of a status page as a program might have them, and with the most hostile texts that clients and the cluster may
 * send.
 *
 * @module
 */
import type { BuilderFacts, StatusFacts } from "../../lib/ops/status_facts.ts";

const SAVED = { podSecondsAsleep: 7_200, coldStarts: 2, secondsWaited: 31.5 };

/** Asleep, with one decision. */
export const BUILDER: BuilderFacts = {
  name: "buildkitd",
  pool: "",
  state: "asleep",
  replicas: 0,
  desired: 0,
  because: "nothing is in use",
  faults: [],
  sessions: 0,
  held: 0,
  pods: [],
  settings: { idleTimeoutSeconds: 120, floor: 0, maxReplicas: 1 },
  saved: SAVED,
  whatIf: [
    {
      idleTimeoutSeconds: 60,
      isSet: false,
      podSecondsRunning: 1_800,
      podSecondsAsleep: 9_000,
      coldStarts: 3,
      secondsWaited: 47,
    },
    {
      idleTimeoutSeconds: 120,
      isSet: true,
      podSecondsRunning: 3_600,
      podSecondsAsleep: 7_200,
      coldStarts: 2,
    },
  ],
  whatIfSince: "2026-03-01T10:00:00.000Z",
  decisions: [{
    at: "2026-03-01T10:20:00.000Z",
    event: "scaled",
    text: "scaled",
    from: 1,
    to: 0,
    because: "nothing has been in use for 2m0s",
  }],
  timeline: [
    { at: "2026-03-01T10:00:00.000Z", replicas: 1, pods: ["ready"], sessions: 2, held: 0, queued: 0 },
    { at: "2026-03-01T10:20:00.000Z", replicas: 0, pods: [], sessions: 0, held: 0, queued: 0 },
  ],
};

/** One builder that is asleep. */
export const FACTS: StatusFacts = {
  version: "1.2.3",
  now: "2026-03-01T10:30:00.000Z",
  started: "2026-03-01T10:00:00.000Z",
  ready: true,
  observes: false,
  sessions: { open: 0, held: 0 },
  saved: SAVED,
  builders: [BUILDER],
  queues: [{ pool: "", waiting: 0, queued: 0 }],
  waiting: [],
  moreWaiting: 0,
  proxies: [{ identity: "abc", leads: true, isThis: true, uses: [{ builder: "buildkitd", text: "idle" }] }],
  lastSessions: [],
};

/** Facts whose every text is `text`, where clients or the cluster may have a say in it. */
export function hostileFacts(text: string): StatusFacts {
  const client = { client: text, clientName: text, project: text };
  return {
    ...FACTS,
    ready: false,
    notReadyBecause: text,
    sessions: { open: 1, held: 1 },
    builders: [1, 2].map((): BuilderFacts => ({
      ...BUILDER,
      name: text,
      pool: text,
      because: text,
      faults: [text],
      waitsBecause: text,
      pods: [{ name: text, ordinal: 0, phase: "starting", sessions: 0 }],
      decisions: [{ ...BUILDER.decisions[0]!, event: text, text, because: text }],
    })),
    queues: [{ pool: text, waiting: 1, queued: 1 }, { pool: "other", waiting: 0, queued: 0 }],
    waiting: [{ session: 1, ...client, pool: text, waitsFor: "pod", builder: text, since: FACTS.now }],
    moreWaiting: 3,
    proxies: [{ identity: text, leads: false, isThis: false, uses: [{ builder: text, text }] }],
    lastSessions: [{
      at: FACTS.now,
      session: 1,
      ...client,
      pod: text,
      routed: text,
      outcome: text,
      reason: text,
      secondsHeld: 1,
      seconds: 2,
    }],
  };
}
