/**
 * What the doctor says about one thing that it has looked at, and the commands that fix it. Pure.
 *
 * @module
 */

/**
 * `failed`: builds will fail, or a pod will not start. `warning`: it works, with a limit that may be intended.
 * `unchecked`: whoever asks may not read it, or there is nothing to look at now.
 */
export type Result = "ok" | "warning" | "failed" | "unchecked";

/** One finding. */
export interface Finding {
  /** What was looked at: `StatefulSet "buildkitd"`. */
  readonly check: string;
  /** How it is. */
  readonly result: Result;
  /** What was found; for `unchecked` the reason. */
  readonly found: string;
  /** What was wanted, if that is something else. */
  readonly want?: string;
  /** The command that fixes it or, where no command can, a sentence. */
  readonly fix?: string;
}

/** The cluster's answer to a question. */
export type Read<T> =
  | { readonly is: "found"; readonly value: T }
  /** There is no such object. */
  | { readonly is: "absent" }
  /** It could not be read, for lack of a right, say. */
  | { readonly is: "unread"; readonly why: string };

/** A finding that all is well. */
export function ok(check: string, found: string): Finding {
  return { check, result: "ok", found };
}

/** A finding that it was not looked at. */
export function unchecked(check: string, why: string): Finding {
  return { check, result: "unchecked", found: why };
}

/** A finding of a fault. */
export function failed(check: string, found: string, want: string, fix: string): Finding {
  return { check, result: "failed", found, want, fix };
}

/** A finding of a limit that may be intended. */
export function warning(check: string, found: string, want: string, fix: string): Finding {
  return { check, result: "warning", found, want, fix };
}

/** A kubectl command in a namespace. */
export function kubectl(namespace: string, ...words: readonly string[]): string {
  return ["kubectl", "--namespace", namespace, ...words].map(quote).join(" ");
}

/** A kubectl command for objects of the whole cluster. */
export function kubectlOfCluster(...words: readonly string[]): string {
  return ["kubectl", ...words].map(quote).join(" ");
}

/** A word as a shell takes it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** `a, b and c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
