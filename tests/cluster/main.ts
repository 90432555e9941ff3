/**
 * A real Kubernetes of one node on this machine, without any download and without a way out:
 *
 *     deno task cluster up      brings it up, or starts what is missing, and says how to reach it
 *     deno task cluster down    ends it and removes all that it has made
 *     deno task cluster test    runs the tests on a cluster of its own
 *
 * etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy, CoreDNS, volumes by
 * local-path-provisioner, and a registry. Only the API server is reached from this machine, at a port of 127.0.0.1.
 * Needs root. Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */

import { dirname } from "node:path";
import { end } from "./namespace.ts";
import { FOLDER, KUBECONFIG } from "./place.ts";
import { clusterPrograms, up } from "./up.ts";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function bringUp(): Promise<void> {
  const startedMs = performance.now();
  const step = (line: string) =>
    say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  await up(step);
  step("up");
  const program = await clusterPrograms(() => {});
  const folders = new Set(["kubectl", "helm"].map((name) => dirname(program(name))));
  say(`
Use it:
  export KUBECONFIG=${KUBECONFIG}
  export PATH=${[...folders].join(":")}:$PATH
  kubectl get pods --all-namespaces

The image of this checkout is registry.example.com/team/buildkitd-autoscaler:dev. Logs are in
${FOLDER}/*.log. "deno task cluster down" ends it all.`);
}

/** Runs the tests. Gives an exit code. */
async function test(): Promise<number> {
  await end();
  try {
    await bringUp();
    const folder = new URL("shared", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), { args: ["test", "-A", "--no-check", folder] });
    return (await child.spawn().status).code;
  } finally {
    await end();
  }
}

const VERBS: Readonly<Record<string, () => Promise<number | void>>> = { up: bringUp, down: end, test };

async function main(): Promise<number> {
  const verb = VERBS[Deno.args[0] ?? ""];
  if (verb === undefined) {
    say(`Cannot do "${Deno.args.join(" ")}": want "up", "down" or "test"`);
    return 2;
  }
  try {
    return await verb() ?? 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

Deno.exit(await main());
