/**
 * One daemon of the cluster: started inside the namespaces, stopped, and started again with the same command line.
 *
 * A daemon survives the process that has started it. Its number, as it is inside, and its output are files in the
 * folder, so that other processes (a test, a second `up`) find it.
 *
 * @module
 */

import { until } from "../e2e/waiting.ts";
import { runInside, runsInside } from "./namespace.ts";
import { at } from "./place.ts";

/** How to start a daemon. */
export interface Daemon {
  readonly name: string;
  readonly command: readonly string[];
  /** Variables beside this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

const logFile = (name: string) => at(`${name}.log`);

async function pidOf(name: string): Promise<number | undefined> {
  const pid = Number(await Deno.readTextFile(at(`${name}.pid`)).catch(() => ""));
  return pid > 0 && await runsInside(pid) ? pid : undefined;
}

/** The last lines that a daemon has printed. */
export function tail(name: string, lines = 30): string {
  const text = Deno.readTextFileSync(logFile(name)).trimEnd();
  return `--- ${logFile(name)}\n${text.split("\n").slice(-lines).join("\n")}`;
}

/** Starts a daemon if it does not run. Says whether it had to. */
export async function start({ name, command, env = {} }: Daemon): Promise<boolean> {
  if (await pidOf(name) !== undefined) return false;
  const script = 'cd /; "$@" >> "$0.log" 2>&1 < /dev/null & echo $! > "$0.pid"';
  const variables = Object.entries(env).map(([variable, value]) => `${variable}=${value}`);
  await runInside("env", ...variables, "setsid", "sh", "-c", script, at(name), ...command);
  return true;
}

/** Sends a signal to a daemon and waits for its end, unless the signal only freezes it or lets it go on. */
export async function stop(name: string, signal: "TERM" | "KILL" | "STOP" | "CONT" = "TERM"): Promise<void> {
  const pid = await pidOf(name);
  if (pid === undefined) return;
  await runInside("kill", `-${signal}`, String(pid));
  if (signal === "STOP" || signal === "CONT") return;
  await until(`the end of ${name}`, async () => !await runsInside(pid), { explain: () => tail(name) });
}

/** Waits until `probe` says yes; fails at once when the daemon has ended. */
export async function untilReady(name: string, probe: () => Promise<boolean>): Promise<void> {
  const state = await until(`${name} to be ready`, async () => {
    if (await pidOf(name) === undefined) return "ended";
    return await probe().catch(() => false) && "ready";
  }, { pollMs: 200, deadlineMs: 60_000, explain: () => tail(name) });
  if (state === "ended") throw new Error(`${name} has ended at once\n${tail(name)}`);
}
