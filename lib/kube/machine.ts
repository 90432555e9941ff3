/**
 * The port to environment variables, files and child processes, where credentials come from, and its real
 * implementation. Knows nothing about Kubernetes.
 *
 * @module
 */
import { homedir } from "node:os";
import { codeOf, messageOf } from "../base/errors.ts";

/** A program to run. */
export interface Command {
  /** A path, or a name that is looked up in `PATH`. */
  readonly program: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Variables in addition to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it may use the terminal for questions. Otherwise it has no input. */
  readonly interactive: boolean;
  /** If it prints more, it is killed. */
  readonly maxOutputBytes: number;
}

/** How a program ended. */
export interface CommandOutcome {
  /** Its exit code; above 128 if a signal ended it. */
  readonly code: number;
  /** What it printed. */
  readonly stdout: string;
  /** The last 4 KiB of its stderr. */
  readonly stderrTail: string;
  /** It printed more than `maxOutputBytes` and was killed. */
  readonly tooLong: boolean;
}

/** Environment, files and child processes. */
export interface Machine {
  /** An environment variable. An empty one counts as not set. */
  env(name: string): string | undefined;
  /** Sets a variable for this process and its children. */
  setEnv(name: string, value: string): void;
  /** A whole file as text. Rejects with code `ENOENT` when there is none. */
  readText(path: string): Promise<string>;
  /** The user's home directory, if there is one. */
  home(): string | undefined;
  /** The version of Deno. */
  denoVersion(): string;
  /** Whether stdin is a terminal. */
  hasTerminal(): boolean;
  /** Runs a program to its end; kills it when `signal` is aborted. Rejects with code `ENOENT` when there is none. */
  run(command: Command, signal: AbortSignal): Promise<CommandOutcome>;
}

const STDERR_TAIL_BYTES = 4096;

/** This machine. */
export const systemMachine: Machine = {
  env: (name) => Deno.env.get(name) || undefined,
  setEnv: (name, value) => Deno.env.set(name, value),
  readText: (path) => Deno.readTextFile(path),
  home: () => homedir() || undefined,
  denoVersion: () => Deno.version.deno,
  hasTerminal: () => Deno.stdin.isTerminal(),
  async run({ program, args, env, interactive, maxOutputBytes }, signal) {
    signal.throwIfAborted();
    const child = new Deno.Command(program, {
      args: [...args],
      env: { ...env },
      stdin: interactive ? "inherit" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const kill = () => {
      try {
        child.kill("SIGKILL");
      } catch { // it has ended already
      }
    };
    const stdout = child.stdout.getReader();
    const stderr = child.stderr.getReader();
    // Killing is not enough: a grandchild that has inherited the pipes would keep the readers waiting.
    const onAbort = () => {
      kill();
      stdout.cancel().catch(() => {});
      stderr.cancel().catch(() => {});
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      let tooLong = false;
      const [out, tail, status] = await Promise.all([
        collect(stdout, (bytes) => {
          if (bytes.length <= maxOutputBytes) return bytes;
          tooLong = true;
          onAbort();
          return bytes.subarray(0, maxOutputBytes);
        }),
        collect(stderr, (bytes) => bytes.subarray(-STDERR_TAIL_BYTES)),
        child.status,
      ]);
      signal.throwIfAborted();
      const decoder = new TextDecoder();
      return { code: status.code, stdout: decoder.decode(out), stderrTail: decoder.decode(tail), tooLong };
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  },
};

/** As large as a Secret may be. */
const MOST_TLS_FILE_BYTES = 1024 * 1024;

/**
 * This machine for certificates and keys, which are read again and again: its `readText` rejects for what is no regular
 * file, or a large one. A pipe could be read only once, and its open waits until somebody writes.
 */
export const tlsMachine: Machine = {
  ...systemMachine,
  async readText(path) {
    const { isFile, isDirectory, size } = await Deno.stat(path);
    if (!isFile && !isDirectory) throw new Error("it is no regular file");
    if (size > MOST_TLS_FILE_BYTES) {
      throw new Error(`it has ${size} bytes, want at most ${MOST_TLS_FILE_BYTES}`);
    }
    return await Deno.readTextFile(path);
  },
};

/** Reads a stream to its end and keeps what `bound` returns. */
async function collect(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  bound: (bytes: Uint8Array) => Uint8Array,
): Promise<Uint8Array> {
  let kept: Uint8Array = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return kept;
    const joined = new Uint8Array(kept.length + value.length);
    joined.set(kept);
    joined.set(value, kept.length);
    kept = bound(joined);
  }
}

/** Why a file could not be read, as the `found …` part of a message. */
export function readFault(error: unknown): string {
  const code = codeOf(error) ?? (error instanceof Error ? error.name : "");
  if (/^(ENOENT|NotFound)$/.test(code)) return "found no such file";
  if (/^(EACCES|EPERM|PermissionDenied|NotCapable)$/.test(code)) return "found a file that may not be read";
  if (/^(EISDIR|IsADirectory)$/.test(code)) return "found a directory";
  return `found a file that cannot be read: ${messageOf(error)}`;
}

/** Whether there is no such file or program. */
export function isMissing(error: unknown): boolean {
  return readFault(error) === "found no such file";
}
