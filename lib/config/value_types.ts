/**
 * The types that a setting's value can have: how text becomes a value, what is said when it does not, and how a value
 * is written. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, parseAddress } from "./address.ts";
import { formatDurationMs, parseDurationMs } from "./duration.ts";

/** A type of values of settings. */
export interface ValueType<T> {
  /** What `--help` shows in angle brackets. */
  readonly placeholder: string;
  /** What a right value is, after "want". */
  readonly want: string;
  /** All values, where there are few. */
  readonly choices?: readonly string[];
  /** The value, or `undefined` when the text is none or out of bounds. */
  parse(text: string): T | undefined;
  /** The value as text that `parse` takes. */
  format(value: T): string;
}

/** The longest duration that a setting takes: one year. */
const LONGEST_MS = 8760 * 3_600_000;

/** A Go duration of `minMs` up to a year, in ms. */
export function duration(minMs: number): ValueType<number> {
  const bound = minMs === 0 ? "" : ` of at least ${formatDurationMs(minMs)}`;
  return {
    placeholder: "duration",
    want: `a duration${bound} such as "2m0s"`,
    parse(text) {
      const ms = parseDurationMs(text);
      return ms !== undefined && ms >= minMs && ms <= LONGEST_MS ? ms : undefined;
    },
    format: formatDurationMs,
  };
}

/** A whole number within bounds, both included. */
export function integer(min: number, max: number): ValueType<number> {
  return {
    placeholder: "number",
    want: `a whole number from ${min} to ${max}`,
    parse(text) {
      const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
    format: String,
  };
}

/** One of a few words, in any case. */
export function choice<const Word extends string>(words: readonly Word[]): ValueType<Word> {
  const quoted = words.map((word) => `"${word}"`);
  return {
    placeholder: words.join("|"),
    want: `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`,
    choices: words,
    parse: (text) => words.find((word) => word === text.toLowerCase()),
    format: (word) => word,
  };
}

/** Where to listen. */
export const address: ValueType<Address> = {
  placeholder: "address",
  want: 'an address such as ":8080", "127.0.0.1:8080" or "[::1]:8080", with a port from 0 to 65535',
  parse: parseAddress,
  format: formatListenAddress,
};

/** Any text; without a default there may be none. */
export function text(placeholder: string): ValueType<string | undefined> {
  return { placeholder, want: "text", parse: (value) => value, format: (value) => value ?? "" };
}

/** RFC 1123 label: what Kubernetes wants of the names of namespaces and services. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A DNS label: the name of a namespace or a service. (A service's name could not begin with a digit in the past;
 * newer clusters allow it, so it is not refused here.)
 *
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
 */
export const label: ValueType<string> = {
  placeholder: "name",
  want: 'a DNS label: up to 63 of a-z, 0-9 and "-", with a letter or digit at both ends',
  parse: (name) => LABEL.test(name) ? name : undefined,
  format: String,
};

/** DNS labels with dots between: the name of most objects, or a domain. */
export const subdomain: ValueType<string> = {
  placeholder: "name",
  want: 'a DNS name: up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends of each part',
  parse: (name) => name.length <= 253 && name.split(".").every((part) => LABEL.test(part)) ? name : undefined,
  format: String,
};
