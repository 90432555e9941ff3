/**
 * What the chart has from the table of settings.
 *
 * @module
 */
import assert from "node:assert/strict";
import { load } from "js-yaml";
import { configSchema, configValues, settingsTemplate } from "../../../lib/config/chart_fragments.ts";
import { parseDurationMs } from "../../../lib/config/duration.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import { settingRows } from "../../../lib/config/settings.ts";
import {
  address,
  boolean,
  choice,
  duration,
  integer,
  subdomain,
  type ValueType,
} from "../../../lib/config/value_types.ts";

const rows = settingRows().filter(([, { chart }]) => chart !== undefined);
const values = load(configValues()) as Record<string, unknown>;

Deno.test("configValues() has each setting once, with what the program starts with or the chart's own default", () => {
  assert.deepEqual(Object.keys(values), rows.map(([, { chart }]) => chart!.key));
  const variables = Object.fromEntries(
    rows.map(([, { chart, variable }]) => [variable, String(values[chart!.key])]),
  );
  const settings = parseSettings({ flags: new Map(), variables });
  for (const [key, { chart, default: preset, type }] of rows) {
    assert.equal(type.format(settings[key]), type.format(type.parse(chart!.default ?? preset!)), key);
  }
});

Deno.test("settingsTemplate() sets each variable from its value, and numbers as whole ones", () => {
  const template = settingsTemplate();
  for (const [, { variable, chart, type }] of rows) {
    const whole = type.schema.type === "integer" ? " | int64" : "";
    const lines = `- name: ${variable}\n  value: {{ .Values.autoscaler.autoscalerConfig.${
      chart!.key
    }${whole} | quote }}\n`;
    assert.ok(template.includes(lines), lines);
  }
});

Deno.test("settingsTemplate() tells the chart each value's flag, and the limits that the program has for durations", () => {
  const body = /settingRows" -\}\}\n([^]*?)\{\{- end -\}\}/.exec(settingsTemplate())![1]!;
  const told = load(body) as Record<string, { flag: string; min?: string; max?: string }>;
  assert.deepEqual(Object.keys(told), rows.map(([, { chart }]) => chart!.key));
  for (const [key, { chart, flag, type }] of rows) {
    const { min, max, ...row } = told[chart!.key]!;
    assert.deepEqual(row, { flag });
    assert.equal(min !== undefined, key.endsWith("Ms"), key);
    if (min === undefined || max === undefined) continue;
    const [low, high] = [min, max].map((text) => parseDurationMs(text)!);
    assert.notEqual(type.parse(min), undefined, key);
    assert.notEqual(type.parse(max), undefined, key);
    assert.equal(type.parse(`${low! - 1}ms`), undefined, key);
    assert.equal(type.parse(`${high! + 1}ms`), undefined, key);
  }
});

Deno.test("settingsTemplate() tells the chart the variable of every flag", () => {
  const body = /flagVariables" -\}\}\n([^]*?)\{\{- end -\}\}/.exec(settingsTemplate())![1]!;
  const expected = Object.fromEntries(settingRows().map(([, { flag, variable }]) => [flag, variable]));
  assert.deepEqual(load(body), expected);
});

Deno.test("configSchema() knows each value and no other", () => {
  const schema = configSchema();
  assert.deepEqual(Object.keys(schema.properties as object), Object.keys(values));
  assert.deepEqual([schema.type, schema.additionalProperties], ["object", false]);
});

/** Whether the schema takes what the type is made of as text; the few keywords that are used. */
function takes<T>({ schema }: ValueType<T>, text: string): boolean {
  if (schema.type === "integer") {
    return /^[0-9]+$/.test(text) && Number(text) >= schema.minimum && Number(text) <= schema.maximum;
  }
  if (schema.type === "boolean") return ["true", "false"].includes(text);
  return (schema.enum?.includes(text) ?? true) &&
    (schema.pattern === undefined || new RegExp(schema.pattern).test(text));
}

const EXAMPLES: readonly (readonly [ValueType<unknown>, readonly string[], readonly string[]])[] = [
  [
    duration(0) as ValueType<unknown>,
    ["0s", "2m0s", "1h30m", "500ms", "1.5h", "8760h0m0s"],
    ["", "0", "2", "2 minutes", "1d", "-1s", "1h-5m", "s"],
  ],
  [
    address as ValueType<unknown>,
    [":8372", "0.0.0.0:80", "[::1]:8080", "[fe80::1%eth0]:1", "host-1.example:65535"],
    ["", "8372", ":http", "::1:80", "[::1]", "a b:1", ":123456"],
  ],
  [integer(1, 100) as ValueType<unknown>, ["1", "100"], ["0", "101", "x"]],
  [boolean as ValueType<unknown>, ["true", "false"], ["yes", "1", ""]],
  [choice("x", ["a", "b"]) as ValueType<unknown>, ["a", "b"], ["c", ""]],
  [subdomain as ValueType<unknown>, ["cluster.local", "a", "a-1.b"], ["", ".a", "a.", "A", "a_b"]],
];

Deno.test("a value type's schema takes usual values and refuses what is none", () => {
  for (const [type, right, wrong] of EXAMPLES) {
    for (const text of right) {
      assert.ok(takes(type, text), `${type.range}: ${text}`);
      assert.notEqual(type.parse(text), undefined, text);
    }
    for (const text of wrong) assert.ok(!takes(type, text), `${type.range}: "${text}"`);
  }
});
