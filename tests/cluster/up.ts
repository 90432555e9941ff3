/**
 * Brings the cluster up: what runs already is left alone, so a second call only starts what is missing.
 *
 * @module
 */

import { join } from "node:path";
import { run } from "../../.ci/commands.ts";
import { ensureBuilt, type FamilyName, NODE_FAMILIES } from "../e2e/tools.ts";
import { until } from "../e2e/waiting.ts";
import { AUDIT_POLICY, controlPlane } from "./control_plane.ts";
import { writeCredentials } from "./credentials.ts";
import { type Daemon, start, untilReady } from "./daemon.ts";
import { ensureArchives, push } from "./images.ts";
import { begin, isThere, runInside } from "./namespace.ts";
import { checkNeeds, find } from "./needs.ts";
import { CONTAINERD, nodeDaemons, writeNodeSettings } from "./node.ts";
import { API_ENDPOINT, API_SOCKET, at, KUBECONFIG, NODE, REGISTRY } from "./place.ts";

const FAMILIES: readonly FamilyName[] = [
  ...NODE_FAMILIES,
  ...["etcd", "kubernetes", "registry", "buildkit", "helm"] as const,
];

const RELAY = new URL("relay.ts", import.meta.url).pathname;

/** The programs that the cluster runs and that its users call, by name. Builds those that are missing. */
export async function clusterPrograms(say: (line: string) => void): Promise<(name: string) => string> {
  const programs = new Map<string, string>();
  for (const family of FAMILIES) {
    const bin = await ensureBuilt(family, (line) => line.includes("built before") || say(line));
    for (const { name } of Deno.readDirSync(bin)) programs.set(name, join(bin, name));
  }
  return (name) => {
    const path = programs.get(name);
    if (path === undefined) throw new Error(`Cannot find the program "${name}": no family has it`);
    return path;
  };
}

/** All daemons by name, each with its command line. */
export function daemons(program: (name: string) => string): Readonly<Record<string, Daemon>> {
  const relay: Daemon = {
    name: "api-relay",
    command: [Deno.execPath(), "run", "-A", "--no-check", RELAY, API_SOCKET, API_ENDPOINT],
  };
  const all = [relay, ...controlPlane(program), ...Object.values(nodeDaemons(program))];
  return Object.fromEntries(all.map((daemon) => [daemon.name, daemon]));
}

/** Brings it up and says what is done, one line for each step. */
export async function up(say: (line: string) => void): Promise<void> {
  const machine = await checkNeeds();
  const program = await clusterPrograms(say);
  const runc = await find("runc") ?? "runc";
  const archives = await ensureArchives(program, { ...machine, runc }, say);
  if (!await isThere()) {
    say("namespaces: making them");
    await begin();
    await Deno.writeTextFile(at("audit-policy.json"), JSON.stringify(AUDIT_POLICY));
    await writeCredentials();
    await writeNodeSettings(program);
  }
  const all = daemons(program);
  const begun = async (...names: readonly string[]) => {
    for (const name of names) if (await start(all[name]!)) say(`${name}: started`);
  };
  const kubectl = (...args: readonly string[]) =>
    run(program("kubectl"), ["--kubeconfig", KUBECONFIG, ...args]);
  await begun("etcd", "registry", "containerd", "kube-apiserver", "api-relay");
  await untilReady("containerd", async () => {
    return await runInside(program("ctr"), `--address=${CONTAINERD}`, "version") !== "";
  });
  await untilReady("registry", async () => {
    return await runInside(machine.busybox, "wget", "-q", "-O-", `http://${REGISTRY}/v2/`) !== "";
  });
  for (const archive of archives) await push(program("ctr"), archive, say);
  await untilReady("kube-apiserver", async () => await kubectl("get", "--raw=/readyz") === "ok");
  await begun("kube-controller-manager", "kube-scheduler", "kubelet");
  const addons = await Deno.readTextFile(new URL("addons.yaml", import.meta.url));
  await Deno.writeTextFile(at("addons.yaml"), addons.replaceAll("STORAGE", at("volumes")));
  await kubectl("apply", "--server-side", "--force-conflicts", `--filename=${at("addons.yaml")}`);
  await begun("kube-proxy");
  say("node: waiting until it is ready");
  await until("the node to be ready", async () => {
    await kubectl("wait", "--for=condition=Ready", `node/${NODE}`, "--timeout=60s");
    return true;
  });
  for (const name of ["coredns", "local-path"]) {
    say(`${name}: waiting until it is available`);
    await kubectl("-n=kube-system", "rollout", "status", `deployment/${name}`, "--timeout=60s");
  }
}
