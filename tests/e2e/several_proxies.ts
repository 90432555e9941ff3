/**
 * What the tests of several proxies share: how they are started, who leads, and which Leases there are.
 *
 * @module
 */

import type { Program } from "./program.ts";
import type { Cluster } from "./scenario.ts";
import { delay, until } from "./waiting.ts";

/** Short, so that what a dead proxy leaves behind is soon nobody's concern. */
export const SHORT_TIMES = {
  "idle-timeout": "2s",
  "record-expiry": "10s",
  "lease-duration": "3s",
  "renew-deadline": "2s",
  "retry-period": "200ms",
  "shutdown-delay": "0s",
};

/** `record-expiry` of {@link SHORT_TIMES}, in ms. */
export const EXPIRY_MS = 10_000;

/** Starts so many proxies, one after the other, each ready before the next. */
export async function startProxies(
  cluster: Cluster,
  count: number,
  flags: Readonly<Record<string, string>> = {},
): Promise<Program[]> {
  const programs: Program[] = [];
  for (let i = 0; i < count; i++) {
    programs.push(await (await cluster.startProgram({ ...SHORT_TIMES, ...flags })).untilReady());
  }
  return programs;
}

/** Whether it leads, by its own word. */
export async function leads(program: Program): Promise<boolean> {
  return (await program.probe("/healthz?verbose")).body.includes("leader is this one");
}

/** Waits until one of them leads, and gives it with the others behind. */
export async function byRank(
  programs: readonly Program[],
): Promise<readonly [leader: Program, ...followers: Program[]]> {
  let leader: Program | undefined;
  await until("one proxy to lead", async () => {
    for (const program of programs) if (await leads(program)) leader = program;
    return leader !== undefined;
  });
  return [leader!, ...programs.filter((program) => program !== leader)];
}

/** Long enough for a proxy that thinks nobody needs the pod to take it: several idle timeouts, and a lease. */
export function longWhile(): Promise<void> {
  return delay(8_000);
}

interface Lease {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

/** The records of proxies. */
export async function records(cluster: Cluster): Promise<readonly Lease[]> {
  const { items } = await cluster.api.get<{ items: Lease[] }>(leasePath(cluster));
  return items.filter(({ metadata }) => !metadata.name.endsWith("-leader"));
}

/** How many Leases there are, by what they are for. */
export async function leases(
  cluster: Cluster,
): Promise<{ readonly proxies: number; readonly elections: number }> {
  const { items } = await cluster.api.get<{ items: Lease[] }>(leasePath(cluster));
  const elections = items.filter(({ metadata }) => metadata.name.endsWith("-leader")).length;
  return { proxies: items.length - elections, elections };
}

/** Where all Leases of a test are. */
export function leasePath({ namespace }: Cluster): string {
  return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
}
