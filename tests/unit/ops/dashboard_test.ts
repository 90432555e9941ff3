/**
 * The dashboard's table shows every metric, and its panels lie side by side.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dashboard, VARIABLES } from "../../../lib/ops/dashboard_file.ts";
import { DASHBOARD, missingMetrics, OBSERVE_ROW } from "../../../lib/ops/dashboard_table.ts";

interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  /** Of a row that is folded. */
  readonly panels?: readonly PanelJson[];
}

const shown = dashboard()["panels"] as readonly PanelJson[];
const panels = shown.flatMap((panel) => [panel, ...panel.panels ?? []]);

Deno.test("dashboard: every metric is on it", () => {
  assert.deepEqual(missingMetrics(DASHBOARD), [], "add a panel to lib/ops/dashboard_table.ts");
});

Deno.test("missingMetrics() finds what is not shown, also behind a longer name", () => {
  const [overview] = DASHBOARD;
  const missing = missingMetrics([overview!]);
  assert.ok(missing.includes("buildkitd_autoscaler_hold_bytes"));
  assert.ok(missing.includes("buildkitd_autoscaler_sessions_opened_total"));
  assert.ok(!missing.includes("buildkitd_autoscaler_sessions_open"));
});

Deno.test("dashboard: numbers and titles of panels are unique", () => {
  assert.ok(panels.length > 40, "the panels were found");
  for (const field of ["id", "title"] as const) {
    assert.equal(new Set(panels.map((panel) => panel[field])).size, panels.length, field);
  }
});

Deno.test("dashboard: no panel leaves the grid or covers another", () => {
  assertGrid(shown);
  const folded = shown.filter(({ panels = [] }) => panels.length > 0);
  assert.deepEqual(folded.map(({ title }) => title), [OBSERVE_ROW]);
  for (const row of folded) assertGrid([row, ...row.panels!]);
});

function assertGrid(panels: readonly PanelJson[]): void {
  const taken = new Map<string, string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert.ok(x >= 0 && w > 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`;
        assert.equal(taken.get(cell), undefined, `"${title}" lies on "${taken.get(cell)}"`);
        taken.set(cell, title);
      }
    }
  }
}

Deno.test("dashboard: queries and legends use only variables and labels that there are", () => {
  const ofGrafana = ["__rate_interval", "__interval", "__interval_ms", "__range"];
  for (const { title, targets = [] } of panels) {
    for (const { expr, legendFormat } of targets) {
      for (const [, name] of expr.matchAll(/\$(\w+)/g)) {
        assert.ok([...VARIABLES, ...ofGrafana].includes(name!), `${title}: $${name}`);
      }
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        const isKept = new RegExp(`\\bby \\([^)]*\\b${label}\\b`).test(expr) ||
          (label === "instance" && !expr.includes("sum"));
        assert.ok(isKept, `${title}: {{${label}}} is no label of ${expr}`);
      }
    }
  }
});
