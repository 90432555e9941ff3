/**
 * Settings that may have another value for a pool: `5m, arm64=15m`. Pure.
 *
 * @module
 */
import { label, type ValueType } from "./value_types.ts";

/** The values of a setting. */
export interface PerPool<T> {
  /** For pools without a value of their own. */
  readonly base: T;
  /** By the name of the pool. */
  readonly pools: ReadonlyMap<string, T>;
}

/** The value for a pool. */
export function valueFor<T>({ base, pools }: PerPool<T>, pool: string): T {
  return pools.has(pool) ? pools.get(pool)! : base;
}

/**
 * A value for all pools, then other values for some of them. Without a value for all, that is `preset`. In the chart, the
 * values of pools are set elsewhere, so the schema is that of the value for all.
 */
export function perPool<T>(one: ValueType<T>, preset: string): ValueType<PerPool<T>> {
  return {
    ...one,
    range: `${one.range}; per pool`,
    rangeOfOne: one.range,
    parse: (text) => parsePerPool(text.includes("=") && !isBare(text) ? `${preset},${text}` : text, one),
    want(text) {
      const wrong = partsOf(text).find(({ value }) => one.parse(value) === undefined);
      const want = one.want(wrong?.value ?? "");
      return isBare(text) && !text.includes(",")
        ? want
        : `${want} for all pools, then "pool=value" for some of them`;
    },
    format: ({ base, pools }) =>
      [one.format(base), ...[...pools].map(([pool, value]) => `${pool}=${one.format(value)}`)].join(", "),
  };
}

/** Whether the text begins with a value for all pools. */
function isBare(text: string): boolean {
  return partsOf(text)[0]?.pool === undefined;
}

/** A part of the text; a value for all pools has no pool. */
interface Part {
  readonly pool: string | undefined;
  readonly value: string;
}

function partsOf(text: string): readonly Part[] {
  return text.split(",").map((part) => {
    const [, pool, value = part] = /^([^=]*)=(.*)$/s.exec(part) ?? [];
    return { pool: pool?.trim(), value: value.trim() };
  });
}

function parsePerPool<T>(text: string, one: ValueType<T>): PerPool<T> | undefined {
  const [first, ...others] = partsOf(text);
  const base = first === undefined ? undefined : one.parse(first.value);
  if (base === undefined) return undefined;
  const pools = new Map<string, T>();
  for (const { pool, value: part } of others) {
    const value = one.parse(part);
    if (pool === undefined || label.parse(pool) === undefined || pools.has(pool) || value === undefined) {
      return undefined;
    }
    pools.set(pool, value);
  }
  return { base, pools };
}
