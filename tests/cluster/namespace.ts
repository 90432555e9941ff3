/**
 * The cluster's namespaces (network, mounts, processes): made, entered and ended.
 *
 * Everything of the cluster runs inside, so that ending the one process outside ends and unmounts all of it. What is
 * left then is the folder and the control groups; `end` removes them.
 *
 * @module
 */

import { run } from "../../.ci/commands.ts";
import { removeCgroups } from "../e2e/cgroups.ts";
import { until } from "../e2e/waiting.ts";
import { at, CGROUP, FOLDER } from "./place.ts";

const KEEPER = new URL("keeper.ts", import.meta.url).pathname;

async function numberIn(file: string): Promise<number | undefined> {
  const text = await Deno.readTextFile(at(file)).catch(() => "");
  return text === "" ? undefined : Number(text);
}

/** Whether a process of that number runs a command with this word in it. */
async function runs(pid: number | undefined, word: string): Promise<boolean> {
  if (pid === undefined) return false;
  return (await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "")).includes(word);
}

/** Whether the namespaces are there. */
export async function isThere(): Promise<boolean> {
  return await runs(await numberIn("keeper.pid"), "keeper.ts") && await numberIn("api.port") !== undefined;
}

/** The port on 127.0.0.1 at which the API server is reached. */
export async function apiPort(): Promise<number> {
  const port = await numberIn("api.port");
  if (port === undefined) {
    throw new Error('Cannot reach the cluster: it is not up, run "deno task cluster up"');
  }
  return port;
}

/** The first process inside, as this machine numbers it. */
async function init(): Promise<number> {
  const pid = await numberIn("init.pid");
  if (pid === undefined) {
    throw new Error('Cannot enter the cluster: it is not up, run "deno task cluster up"');
  }
  return pid;
}

/** Makes the namespaces. What an earlier cluster has left is removed first. */
export async function begin(): Promise<void> {
  await end();
  await Deno.mkdir(FOLDER, { recursive: true });
  const log = at("keeper.log");
  // With a session of its own it outlives the terminal.
  const script = 'exec "$@" > "$LOG" 2>&1 < /dev/null & echo $! > "$PID"';
  await run("setsid", ["sh", "-c", script, "sh", Deno.execPath(), "run", "-A", "--no-check", KEEPER], {
    env: { LOG: log, PID: at("keeper.pid") },
  });
  await until("the namespaces to be made", isThere, {
    deadlineMs: 20_000,
    explain: () => Deno.readTextFileSync(log),
  });
}

/** Ends everything inside and removes what is left of it. Nothing to end is no error. */
export async function end(): Promise<void> {
  const keeper = await numberIn("keeper.pid");
  const inside = await numberIn("init.pid");
  if (await runs(keeper, "keeper.ts")) Deno.kill(keeper!, "SIGKILL");
  if (inside !== undefined) {
    // A process that waits for a disk takes its time to die.
    await until("the cluster's processes to end", async () => !await runs(inside, FOLDER), {
      deadlineMs: 30_000,
    });
  }
  await removeCgroups(CGROUP);
  // Empty: the kubelet's own folder was mounted there. A kubelet of the machine keeps its files.
  await Deno.remove("/var/lib/kubelet").catch(() => {});
  await Deno.remove(FOLDER, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** The command line that runs `command` inside. */
export async function inside(command: readonly string[]): Promise<[program: string, args: string[]]> {
  return ["nsenter", [`--target=${await init()}`, "--net", "--mount", "--pid", "--ipc", "--", ...command]];
}

/** Runs a command inside to its end, and gives what it printed. */
export async function runInside(...command: readonly string[]): Promise<string> {
  return await run(...await inside(command));
}

/** Whether a process runs inside that has this number there. */
export async function runsInside(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${await init()}/root/proc/${pid}/stat`).catch(() => "");
  // A dead one whose exit code nobody has taken yet does not count.
  return stat !== "" && !/\) [ZX] /.test(stat);
}
