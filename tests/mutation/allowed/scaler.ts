/**
 * Mutants of `lib/scaler` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

const NAME =
  "The name of an error class is for developers: the program tells the classes apart by themselves";
const INVARIANT = "An invariant: nothing that a caller can do makes it fail";

/** All of them. */
export const SCALER: readonly Allowed[] = [
  {
    path: "lib/scaler/agreement.ts",
    line: "if (a.length !== b.length) return a.length > b.length;",
    to: ">=",
    reason: "The lengths differ here",
  },
  {
    path: "lib/scaler/attempt.ts",
    line: 'override readonly name = "OutOfDate";',
    reason: NAME,
  },
  {
    path: "lib/scaler/attempt.ts",
    line: 'override readonly name = "NoConsent";',
    reason: NAME,
  },
  {
    path: "lib/scaler/observer.ts",
    line: "const { uid, generation = 1 } = statefulSet.metadata ?? {};",
    from: "1",
    reason: "Every StatefulSet has a generation: only the types permit that it is missing",
  },
  {
    path: "lib/scaler/observer.ts",
    line: "const isProxys = to < seen.replicas",
    to: "<=",
    reason: "The counts differ here",
  },
  {
    path: "lib/scaler/pods.ts",
    line: "this.#suspects.keepOnly(backends);",
    reason: "Saves memory only: the uid of a pod that is gone does not come back",
  },
  {
    path: "lib/scaler/usage.ts",
    line: 'invariant(this.#held >= 0 && this.#needing >= 0, "no more held sessions end than began");',
    to: "{}",
    reason: INVARIANT,
  },
  {
    path: "lib/scaler/usage.ts",
    line: 'invariant(this.#held >= 0 && this.#needing >= 0, "no more held sessions end than began");',
    to: "||",
    reason: INVARIANT,
  },
  {
    path: "lib/scaler/usage.ts",
    line: 'invariant(count >= 0, "no more sessions leave an ordinal than came");',
    to: "{}",
    reason: INVARIANT,
  },
];
