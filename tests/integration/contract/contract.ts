/**
 * What this project relies on from an API server, as tests that run against the miniature cluster and against a real
 * kube-apiserver: if both pass, the miniature can stand in for the real one in every other test.
 *
 * @module
 */
import { EVENT_CONTRACT } from "./events.ts";
import { LEASE_CONTRACT } from "./leases.ts";
import { LIST_WATCH_CONTRACT } from "./list_watch.ts";
import { REVIEW_CONTRACT } from "./reviews.ts";
import { SCALE_CONTRACT } from "./scale.ts";
import { type Clause, Contract, type ContractTarget } from "./target.ts";

/** All clauses. */
export const CONTRACT: readonly Clause[] = [
  ...SCALE_CONTRACT,
  ...LIST_WATCH_CONTRACT,
  ...LEASE_CONTRACT,
  ...EVENT_CONTRACT,
  ...REVIEW_CONTRACT,
];

/**
 * Registers one test a clause. `open` starts or finds the server, for each test anew; what it returns is disposed of
 * after the test. A clause whose needs it does not meet is shown as ignored. (A suite that has its server already can go over {@link CONTRACT} with {@link runClause} in steps.)
 */
export function registerContractTests(
  name: string,
  open: () => Promise<ContractTarget & Partial<AsyncDisposable>>,
  { hasExpiredVersion }: { readonly hasExpiredVersion: boolean },
): void {
  for (const clause of CONTRACT) {
    const ignore = clause.needs === "expiredVersion" && !hasExpiredVersion;
    Deno.test({ name: `${name}: ${clause.title}`, ignore }, async () => {
      const target = await open();
      try {
        await runClause(clause, target);
      } finally {
        await target[Symbol.asyncDispose]?.();
      }
    });
  }
}

/** Asserts one clause and cleans up. */
export async function runClause(clause: Clause, target: ContractTarget): Promise<void> {
  await using contract = new Contract(target);
  await clause.run(contract);
}
