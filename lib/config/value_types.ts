/**
 * The types of settings: how a text is parsed, the message if that fails, and how a value is formatted. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, parseAddress } from "./address.ts";
import { formatDurationMs, parseDurationMs } from "./duration.ts";

/** The JSON schema of a value; see https://json-schema.org/draft-07. */
export type ValueSchema =
  | { readonly type: "string"; readonly pattern?: string; readonly enum?: readonly string[] }
  | { readonly type: "integer"; readonly minimum: number; readonly maximum: number }
  | { readonly type: "boolean" };

/** A type of settings. */
export interface ValueType<T> {
  /** The placeholder in `--help`. */
  readonly placeholder: string;
  /** The possible values in a few words, for docs/settings.md. */
  readonly range: string;
  /** All values, if there are few. */
  readonly choices?: readonly string[];
  /** Where pools may differ: the possible values of one pool, which the chart has a value for. */
  readonly rangeOfOne?: string;
  /** The minimum and the maximum of a duration. */
  readonly limits?: readonly [string, string];
  /**
   * The schema of the chart's value. Accepts values in their usual form, and refuses most of what {@link parse}
   * refuses.
   */
  readonly schema: ValueSchema;
  /** Parses a text. Returns `undefined` if it is malformed or out of bounds. */
  parse(text: string): T | undefined;
  /** The end of an error message about `text`, after "want". */
  want(text: string): string;
  /** Formats a value so that `parse` accepts it. */
  format(value: T): string;
}

/** The longest duration of a setting: one year. */
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

/** A whole number from `min` to `max`. */
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

/** One of a few words, in upper or lower case. */
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

/** On or off. */
export const boolean: ValueType<boolean> = {
  placeholder: "boolean",
  range: "true, false",
  choices: ["true", "false"],
  schema: { type: "boolean" },
  parse: (text) => new Map([["true", true], ["false", false]]).get(text.toLowerCase()),
  want: () => '"true" or "false"',
  format: String,
};

/** A listen address. */
export const address: ValueType<Address> = {
  placeholder: "address",
  range: "address",
  schema: { type: "string", pattern: "^(\\[[0-9a-fA-F:.]+(%[A-Za-z0-9]+)?\\]|[A-Za-z0-9._-]*):[0-9]{1,5}$" },
  parse: parseAddress,
  want: () => 'an address such as ":8080", "127.0.0.1:8080" or "[::1]:8080", with a port up to 65535',
  format: formatListenAddress,
};

/** Where to listen, or `off`, which the chart does not take. */
export const addressOrOff: ValueType<Address | "off"> = {
  placeholder: "address",
  range: "address",
  schema: address.schema,
  parse: (text) => text.toLowerCase() === "off" ? "off" : parseAddress(text),
  want: (text) => `${address.want(text)}, or "off"`,
  format: (value) => value === "off" ? value : formatListenAddress(value),
};

/** Several values with commas between; without a default there may be none. */
export function list<T>(
  placeholder: string,
  example: string,
  parseOne: (text: string) => T | undefined,
  formatOne: (value: T) => string,
): ValueType<readonly T[] | undefined> {
  return {
    placeholder: `${placeholder}s`,
    range: `${placeholder}s with commas between`,
    schema: { type: "string" },
    parse(text) {
      const values = text.split(",").map((part) => parseOne(part.trim()));
      return values.every((value) => value !== undefined) ? values : undefined;
    },
    want: () => `a list such as "${example}"`,
    format: (values) => (values ?? []).map(formatOne).join(","),
  };
}

/** Any text. */
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

/** RFC 1123 label: the names of namespaces and services in Kubernetes. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A DNS label: the name of a namespace or service. (Older clusters refuse a service name that begins with a digit.
 * Newer ones allow it, so it is accepted here.)
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

/** DNS labels separated by dots: a domain, or the name of most objects. */
export const subdomain: ValueType<string> = {
  placeholder: "name",
  range: "DNS name",
  schema: { type: "string", pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" },
  parse: (name) => name.length <= 253 && name.split(".").every((part) => LABEL.test(part)) ? name : undefined,
  want: () => 'up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends of each part',
  format: String,
};
