/**
 * The types that a setting's value can have: how text becomes a value, what is said when it does not, and how a value
 * is written. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, parseAddress } from "./address.ts";
import { formatDurationMs, parseDurationMs } from "./duration.ts";

/** What a JSON schema says of a value; see https://json-schema.org/draft-07. */
export type ValueSchema =
  | { readonly type: "string"; readonly pattern?: string; readonly enum?: readonly string[] }
  | { readonly type: "integer"; readonly minimum: number; readonly maximum: number };

/** A type of values of settings. */
export interface ValueType<T> {
  /** What `--help` shows in angle brackets. */
  readonly placeholder: string;
  /** The values in a few words, for docs/settings.md. */
  readonly range: string;
  /** All values, where there are few. */
  readonly choices?: readonly string[];
  /** The shortest and the longest, of durations. */
  readonly limits?: readonly [string, string];
  /** For the chart's values: takes a value in its usual form, and refuses most of what {@link parse} refuses. */
  readonly schema: ValueSchema;
  /** The value, or `undefined` when the text is none or out of bounds. */
  parse(text: string): T | undefined;
  /** What would have been right instead of `text`; follows "want". */
  want(text: string): string;
  /** The value as text that `parse` takes. */
  format(value: T): string;
}

/** The longest duration that a setting takes: one year. */
const LONGEST_MS = 8760 * 3_600_000;

/** A Go duration of `minMs` up to a year, in ms. */
export function duration(minMs: number): ValueType<number> {
  return {
    placeholder: "duration",
    range: minMs === 0 ? "duration" : `duration, at least ${formatDurationMs(minMs)}`,
    limits: [formatDurationMs(minMs), formatDurationMs(LONGEST_MS)],
    schema: { type: "string", pattern: "^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$" },
    parse(text) {
      const ms = parseDurationMs(text);
      return ms !== undefined && ms >= minMs && ms <= LONGEST_MS ? ms : undefined;
    },
    want: (text) =>
      parseDurationMs(text) === undefined
        ? 'a duration such as "2m0s"'
        : `a duration from ${formatDurationMs(minMs)} to ${formatDurationMs(LONGEST_MS)}`,
    format: formatDurationMs,
  };
}

/** A whole number within bounds, both included. */
export function integer(min: number, max: number): ValueType<number> {
  return {
    placeholder: "number",
    range: `${min} to ${max}`,
    schema: { type: "integer", minimum: min, maximum: max },
    parse(text) {
      const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
    want: () => `a whole number from ${min} to ${max}`,
    format: String,
  };
}

/** One of a few words, in any case. */
export function choice<const Word extends string>(
  placeholder: string,
  words: readonly Word[],
): ValueType<Word> {
  const quoted = words.map((word) => `"${word}"`);
  return {
    placeholder,
    range: words.join(", "),
    choices: words,
    schema: { type: "string", enum: words },
    parse: (text) => words.find((word) => word === text.toLowerCase()),
    want: () => `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`,
    format: (word) => word,
  };
}

/** Where to listen. */
export const address: ValueType<Address> = {
  placeholder: "address",
  range: "address",
  schema: { type: "string", pattern: "^(\\[[0-9a-fA-F:.]+(%[A-Za-z0-9]+)?\\]|[A-Za-z0-9._-]*):[0-9]{1,5}$" },
  parse: parseAddress,
  want: () => 'an address such as ":8080", "127.0.0.1:8080" or "[::1]:8080", with a port up to 65535',
  format: formatListenAddress,
};

/** Any text; without a default there may be none. */
export function text(placeholder: string): ValueType<string | undefined> {
  return {
    placeholder,
    range: placeholder,
    schema: { type: "string" },
    parse: (value) => value,
    want: () => `a ${placeholder}`,
    format: (value) => value ?? "",
  };
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
  range: "DNS label",
  schema: { type: "string", pattern: LABEL.source },
  parse: (name) => LABEL.test(name) ? name : undefined,
  want: () => 'up to 63 of a-z, 0-9 and "-", with a letter or digit at both ends',
  format: String,
};

/** DNS labels with dots between: the name of most objects, or a domain. */
export const subdomain: ValueType<string> = {
  placeholder: "name",
  range: "DNS name",
  schema: { type: "string", pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" },
  parse: (name) => name.length <= 253 && name.split(".").every((part) => LABEL.test(part)) ? name : undefined,
  want: () => 'up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends of each part',
  format: String,
};
