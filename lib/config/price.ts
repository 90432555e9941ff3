/**
 * What a pod costs in an hour: `0.34`, or `0.34 EUR`. Pure.
 *
 * @module
 */
import type { ValueType } from "./value_types.ts";

/** A price. */
export interface Price {
  /** Of one pod in one hour. */
  readonly perHour: number;
  /** Three letters as ISO 4217 has them; empty if none were given. */
  readonly currency: string;
}

const PATTERN = /^([0-9]{1,6}(?:\.[0-9]{1,6})?)(?: ([A-Z]{3}))?$/;

/** The type of the setting; without a value there is no price. */
export const price: ValueType<Price | undefined> = {
  placeholder: "price",
  range: "number, with a currency or without",
  schema: { type: "string", pattern: "^([0-9]{1,6}(\\.[0-9]{1,6})?( [A-Z]{3})?)?$" },
  parse(text) {
    const [, perHour, currency = ""] = PATTERN.exec(text) ?? [];
    return perHour === undefined ? undefined : { perHour: Number(perHour), currency };
  },
  want: () => 'a number such as "0.34", or one with a currency such as "0.34 EUR"',
  format: (value) => value === undefined ? "" : `${value.perHour} ${value.currency}`.trim(),
};
