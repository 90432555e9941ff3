/**
 * The capacity of a builder in tests in which it does not matter.
 *
 * @module
 */
import type { Capacity } from "../../lib/scaler/capacity.ts";

/** One pod that takes any number of sessions, as an installation has it by default. */
export const ONE_POD: Capacity = {
  maxReplicas: 1,
  sessionsPerReplica: 4,
  maxSessionsPerReplica: 0,
  spread: "lowest",
};
