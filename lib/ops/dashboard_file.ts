/**
 * Makes the Grafana dashboard from its table, in the JSON of Grafana 10 and later. The running program does not load it.
 * Pure.
 *
 * @module
 */
import { DASHBOARD, type Panel, type Query } from "./dashboard_table.ts";

type Json = Readonly<Record<string, unknown>>;

/** Grafana's grid has so many columns. */
const COLUMNS = 24;

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const DOCS = "https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs";

/** The variables that queries of panels use, with the label that each chooses, in the order of their choice. */
export const VARIABLES = ["namespace", "job", "instance", "builder"] as const;

/** The whole dashboard. */
export function dashboard(): Readonly<Record<string, unknown>> {
  return {
    uid: "buildkitd-autoscaler",
    title: "buildkitd-autoscaler",
    description:
      "BuildKit that scales to zero: who waits, what was decided and why, what it saves and what it costs.",
    tags: ["buildkit"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    timezone: "",
    links: [
      link("Metrics", `${DOCS}/metrics.md`),
      link("Alerts", `${DOCS}/alerts.md`),
      link("Dashboard", `${DOCS}/dashboard.md`),
    ],
    annotations: { list: [] },
    templating: { list: [datasourceVariable(), ...VARIABLES.map(variable)] },
    panels: panels(),
  };
}

function link(title: string, url: string): Json {
  return {
    title,
    url,
    type: "link",
    icon: "doc",
    targetBlank: true,
    asDropdown: false,
    includeVars: false,
    keepTime: false,
    tags: [],
    tooltip: "",
  };
}

function datasourceVariable(): Json {
  return {
    name: "datasource",
    label: "Data source",
    type: "datasource",
    query: "prometheus",
    refresh: 1,
    hide: 0,
  };
}

/** Lists the values of a label among what the variables before it have chosen. */
function variable(label: typeof VARIABLES[number], index: number): Json {
  const chosen = VARIABLES.slice(0, index).map((other) => `${other}=~"$${other}"`).join(",");
  const metric = label === "builder" ? "builder_state" : "build_info";
  const query = `label_values(buildkitd_autoscaler_${metric}{${chosen}}, ${label})`;
  return {
    name: label,
    label: `${label.slice(0, 1).toUpperCase()}${label.slice(1)}`,
    type: "query",
    datasource: DATASOURCE,
    query: { query, refId: label },
    definition: query,
    // A scrape without such a label is a choice, too.
    allValue: ".*",
    current: { selected: true, text: ["All"], value: ["$__all"] },
    includeAll: true,
    multi: true,
    refresh: 2,
    sort: 1,
    hide: 0,
  };
}

function panels(): readonly Json[] {
  const made: Json[] = [];
  let [id, y] = [1, 0];
  for (const { title, panels, isFolded = false } of DASHBOARD) {
    const inside: Json[] = [];
    const row = { id: id++, type: "row", title, gridPos: { x: 0, y: y++, w: COLUMNS, h: 1 } };
    let [x, lineY, lineHeight] = [0, y, 0];
    for (const panel of panels) {
      const { w, h } = sizeOf(panel);
      if (x + w > COLUMNS) [x, lineY] = [0, lineY + lineHeight];
      if (x === 0) lineHeight = 0;
      inside.push({ id: id++, ...panelJson(panel), gridPos: { x, y: lineY, w, h } });
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    // A folded row holds its panels, and Grafana moves the rows below when somebody unfolds it.
    made.push({ ...row, collapsed: isFolded, panels: isFolded ? inside : [] });
    if (isFolded) continue;
    made.push(...inside);
    y = lineY + lineHeight;
  }
  return made;
}

function isNumber({ kind }: Panel): boolean {
  return kind === "stat" || kind === "total";
}

function sizeOf(panel: Panel): { readonly w: number; readonly h: number } {
  return isNumber(panel) ? { w: panel.width ?? 4, h: 4 } : { w: panel.width ?? 12, h: 8 };
}

function panelJson(panel: Panel): Json {
  const { title, description, unit, warnFrom, decimals } = panel;
  const warning = warnFrom === undefined ? [] : [{ color: "orange", value: warnFrom }];
  return {
    type: isNumber(panel) ? "stat" : "timeseries",
    title,
    description,
    datasource: DATASOURCE,
    // So many points: a total is exact, and no query is slow.
    ...(panel.kind === "total" && { maxDataPoints: 300 }),
    targets: panel.queries.map((query, index) => target(query, index, panel)),
    fieldConfig: {
      defaults: {
        unit,
        thresholds: { mode: "absolute", steps: [{ color: "green", value: null }, ...warning] },
        ...(!isNumber(panel) && { min: 0, custom: lineStyle(panel) }),
        ...(decimals !== undefined && { decimals }),
      },
      overrides: [],
    },
    options: isNumber(panel) ? STAT_OPTIONS : LINE_OPTIONS,
  };
}

function target({ expr, legend }: Query, index: number, panel: Panel): Json {
  return {
    refId: String.fromCharCode("A".charCodeAt(0) + index),
    datasource: DATASOURCE,
    expr,
    legendFormat: legend,
    instant: isNumber(panel),
    range: !isNumber(panel),
    editorMode: "code",
  };
}

function lineStyle({ kind, isStacked }: Panel): Json {
  return {
    drawStyle: kind === "bars" ? "bars" : "line",
    lineWidth: 1,
    fillOpacity: kind === "bars" ? 80 : isStacked ? 40 : 10,
    showPoints: "never",
    spanNulls: false,
    stacking: { mode: isStacked ? "normal" : "none", group: "A" },
  };
}

const STAT_OPTIONS: Json = {
  reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
  colorMode: "value",
  graphMode: "none",
  justifyMode: "auto",
  orientation: "auto",
  textMode: "auto",
  wideLayout: true,
  showPercentChange: false,
  percentChangeColorMode: "standard",
};

const LINE_OPTIONS: Json = {
  legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] },
  tooltip: { mode: "multi", sort: "desc" },
};
