/**
 * A real kube-apiserver keeps the same contract as the miniature one, which stands in for it in all faster tests.
 *
 * @module
 */

import { CONTRACT, runClause } from "../integration/contract/contract.ts";
import { contractTarget, restartApiServer } from "./scenario.ts";

// One that starts on an empty store still keeps all versions, from the first on.
Deno.test.beforeAll(restartApiServer);

for (const clause of CONTRACT) {
  Deno.test({
    name: `kube-apiserver: ${clause.title}`,
    // The control plane of the file lives longer than a test, and what it prints is read all the time.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => await runClause(clause, await contractTarget()),
  });
}
