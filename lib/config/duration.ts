/**
 * Durations in the form of Go (`2m0s`, `1h30m`, `500ms`), as in Kubernetes. Parsing and formatting agree with Go's
 * `time.ParseDuration` and `Duration.String` to the nanosecond. Pure. The rest of the program counts in milliseconds.
 *
 * @see https://pkg.go.dev/time#ParseDuration
 * @module
 */

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** Nanoseconds per unit. There are two micro signs: U+00B5 and the Greek letter U+03BC. */
const UNITS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n],
  ["\u03bcs", 1_000n],
  ["ms", NS_PER_MS],
  ["s", NS_PER_SECOND],
  ["m", 60n * NS_PER_SECOND],
  ["h", 3600n * NS_PER_SECOND],
]);

/** Go's Duration is an int64. Only a negative one can have this magnitude. */
const LIMIT = 1n << 63n;
const MAX_INT64 = LIMIT - 1n;

/** A number and its unit: digits, fraction, unit. */
const PART = /^([0-9]*)(?:\.([0-9]*))?([^0-9.]*)/;

/** Parses a Go duration to nanoseconds. Returns `undefined` if it is malformed or does not fit in 64 bits. */
export function parseDurationNs(text: string): bigint | undefined {
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0n;
  if (rest === "") return undefined;
  let totalNs = 0n;
  while (rest !== "") {
    const [all, whole = "", fraction = "", unitName = ""] = PART.exec(rest) ?? [""];
    const unitNs = UNITS.get(unitName);
    if (unitNs === undefined || (whole === "" && fraction === "")) return undefined;
    const count = BigInt(whole); // of no digits, 0
    // Go gives up on a product over the limit even where a sign would make room for it.
    if (count > LIMIT / unitNs) return undefined;
    totalNs += count * unitNs + fractionNs(fraction, unitNs);
    if (totalNs > LIMIT) return undefined;
    rest = rest.slice(all.length);
  }
  if (negative) return -totalNs;
  return totalNs > MAX_INT64 ? undefined : totalNs;
}

/** Go computes this part in float64 and ignores the digits that do not fit in an int64; so does this. */
function fractionNs(digits: string, unitNs: bigint): bigint {
  let value = 0n;
  let scale = 1;
  for (const digit of digits) {
    const next = value * 10n + BigInt(digit);
    if (next > LIMIT) break;
    value = next;
    scale *= 10;
  }
  return value === 0n ? 0n : BigInt(Math.trunc(Number(value) * (Number(unitNs) / scale)));
}

/** A duration in nanoseconds as Go's `Duration.String` writes it: `2m0s`, `1.5s`, `500ms`, `0s`. */
export function formatDurationNs(durationNs: bigint): string {
  const sign = durationNs < 0n ? "-" : "";
  const ns = durationNs < 0n ? -durationNs : durationNs;
  if (ns === 0n) return "0s";
  if (ns < 1_000n) return `${sign}${ns}ns`;
  if (ns < NS_PER_MS) return `${sign}${decimal(ns, 1_000n)}\u00b5s`;
  if (ns < NS_PER_SECOND) return `${sign}${decimal(ns, NS_PER_MS)}ms`;
  const minutes = ns / (60n * NS_PER_SECOND);
  const seconds = `${decimal(ns % (60n * NS_PER_SECOND), NS_PER_SECOND)}s`;
  if (minutes === 0n) return `${sign}${seconds}`;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `value / unit` exactly, without trailing zeros; `unit` is a power of ten. */
function decimal(value: bigint, unit: bigint): string {
  const fraction = (value % unit).toString().padStart(unit.toString().length - 1, "0").replace(/0+$/, "");
  return fraction === "" ? `${value / unit}` : `${value / unit}.${fraction}`;
}

/** A Go duration in milliseconds (with a fraction, if it has one), or `undefined` when the text is none. */
export function parseDurationMs(text: string): number | undefined {
  const ns = parseDurationNs(text);
  return ns === undefined ? undefined : Number(ns) / 1e6;
}

/** A finite number of milliseconds as Go writes it. */
export function formatDurationMs(durationMs: number): string {
  return formatDurationNs(BigInt(Math.round(durationMs * 1e6)));
}
