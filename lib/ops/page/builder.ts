/**
 * The parts of the status page that are about one builder: what it looks like now, its timeline, its last decisions, and
 * what was and could be saved. Pure.
 *
 * @module
 */
import { formatDurationMs } from "../../config/duration.ts";
import type { BuilderFacts, ObservedFacts, PointFacts, StatusFacts, WhatIfFacts } from "../status_facts.ts";
import { folded, type Html, html } from "./html.ts";
import { table } from "./table.ts";
import { timeline, WINDOWS } from "./timeline.ts";
import { amount, count, money, PHASES, STATES, time } from "./words.ts";

/** Not within markup, where the bundler would leave it as it is (see `.ci/compile.ts`). */
const ARROW = "→";

/** What it looks like now. */
export function nowPart(builder: BuilderFacts): Html {
  const { replicas, observed, settings: { maxReplicas }, because, sessions, held, pods } = builder;
  const row = (name: string, value: string | Html) =>
    html`
      <div>
        <dt>${name}</dt>
        <dd>${value}</dd>
      </div>
    `;
  return html`<dl class="facts">
${row("State", badge(builder))}
${row("Replicas", replicas === undefined ? "not known yet" : `${replicas} of ${maxReplicas}`)}
${observed !== undefined && row("Without observe mode", `${observed.replicas ?? "not known yet"}`)}
${row("Why", because)}
${row("Sessions", `${sessions} running, ${held} held`)}
${row(observed === undefined ? "Next scale-down" : "Would scale down", scaleDown(builder))}
</dl>
${builder.waitsBecause !== undefined && html`<p class="notice">Clients wait: ${builder.waitsBecause}.</p>`}
${builder.faults.map((fault) => html`<p class="notice fault">${fault}</p>`)}
${pods.length > 0 && podTable(pods)}`;
}

/** The state as a badge. */
export function badge({ state }: Pick<BuilderFacts, "state">): Html {
  return html`<span class="badge ${state}">${STATES[state]}</span>`;
}

/** When the next scale-down is due. */
function scaleDown({ scaleDownAt, observed, replicas: real = 0, sessions, settings }: BuilderFacts): Html {
  const replicas = observed === undefined ? real : observed.replicas ?? 0;
  const timeout = formatDurationMs(settings.idleTimeoutSeconds * 1_000);
  if (scaleDownAt !== undefined) return html`at ${time(scaleDownAt)} UTC, unless a client comes before`;
  if (replicas === 0) return html`none: there ${observed === undefined ? "is" : "would be"} no pod`;
  if (sessions === 0 && settings.floor >= replicas) {
    return html`none: ${count(settings.floor, "replica stays", "replicas stay")} without clients`;
  }
  return html`${timeout} after the last session has ended`;
}

function podTable(pods: BuilderFacts["pods"]): Html {
  return table("Pods", pods, [
    { head: "Pod", cell: ({ name, ordinal }) => name ?? `ordinal ${ordinal}` },
    { head: "Phase", cell: ({ phase }) => PHASES[phase] },
    { head: "Sessions", kind: "number", cell: ({ sessions }) => sessions },
  ], { isNarrow: true });
}

/** The timeline as a picture, and its last points as a table. */
export function timelinePart(
  { timeline: points }: BuilderFacts,
  id: string,
  now: string,
  window: string,
): Html {
  return html`<div class="scroll timeline" tabindex="0" role="region" aria-label="Timeline">${
    timeline(id, points, now, WINDOWS.get(window)!)
  }</div>
<details id="${id}-table"><summary>The last changes as a table</summary>${pointTable(points)}</details>`;
}

/** Points of the timeline that its table has. */
const MOST_ROWS = 20;

function pointTable(points: readonly PointFacts[]): Html {
  const newest = points.slice(-MOST_ROWS).reverse();
  const isObserved = points.some(({ virtualReplicas }) => virtualReplicas !== undefined);
  return table("What it has looked like, the newest first (UTC)", newest, [
    { head: "From", cell: ({ at }) => time(at) },
    { head: "Replicas", kind: "number", cell: ({ replicas }) => replicas ?? "unknown" },
    isObserved && {
      head: "Without observe mode",
      kind: "number" as const,
      cell: ({ virtualReplicas }: PointFacts) => virtualReplicas ?? "unknown",
    },
    { head: "Pods", cell: ({ pods }) => pods.map((phase) => phase ?? "none").join(", ") || "none" },
    { head: "Sessions", kind: "number", cell: ({ sessions }) => sessions },
    { head: "Held", kind: "number", cell: ({ held }) => held },
    { head: "Queued", kind: "number", cell: ({ queued }) => queued },
  ]);
}

/** Decisions that are shown unless more are asked for. */
const FEW_DECISIONS = 6;

/** The last decisions. */
export function decisionsPart({ decisions }: BuilderFacts, id: string): Html {
  if (decisions.length === 0) return html`<p>The count was not changed since this proxy started.</p>`;
  return folded(decisions, FEW_DECISIONS, id, decisionTable, "The newest first (UTC)");
}

function decisionTable(decisions: BuilderFacts["decisions"], caption: string): Html {
  return table(caption, decisions, [
    { head: "At", cell: ({ at }) => time(at) },
    {
      head: "What",
      cell: ({ text, from, to }) =>
        to === undefined ? text : html`${text} <span class="change">${from ?? "?"} ${ARROW} ${to}</span>`,
    },
    { head: "Why", kind: "free", cell: ({ because }) => because },
  ]);
}

/** What was saved, and what other idle timeouts would have saved. */
export function savingsPart(
  { saved, observed, whatIf, whatIfSince, settings }: BuilderFacts,
  price: StatusFacts["price"],
): Html {
  if (observed !== undefined) {
    return html`${wouldSave(observed, settings, price)}
${whatIfSince !== undefined && whatIfTable(whatIf, whatIfSince, price)}`;
  }
  const inMoney = saved.money === undefined ? "" : `, worth ${money(saved.money, price)}`;
  const timeout = formatDurationMs(settings.idleTimeoutSeconds * 1_000);
  return html`<p>Pods have slept for <strong>${
    amount(saved.podSecondsAsleep)
  }</strong>${inMoney}. The price: ${count(saved.coldStarts, "cold start")}; clients waited ${
    amount(saved.secondsWaited)
  } in all. The idle timeout is ${timeout}.</p>
${whatIfSince !== undefined && whatIfTable(whatIf, whatIfSince, price)}`;
}

/** What would have been saved, and at which price, as far as that can be estimated. */
function wouldSave(
  { saved, startSeconds, isStartMeasured }: ObservedFacts,
  { idleTimeoutSeconds }: BuilderFacts["settings"],
  price: StatusFacts["price"],
): Html {
  const inMoney = saved.money === undefined ? "" : `, worth ${money(saved.money, price)}`;
  const how = isStartMeasured
    ? `as the last pod that was seen to start took from its creation until it was ready`
    : `which is assumed: no pod has told how long its start took`;
  return html`<p>Without observe mode, pods would have slept for <strong>${
    amount(saved.podSecondsAsleep)
  }</strong>${inMoney}. The price: ${
    count(saved.coldStarts, "cold start")
  }; clients would have waited about ${amount(saved.secondsWaited)} in all. The idle timeout is ${
    formatDurationMs(idleTimeoutSeconds * 1_000)
  }. A cold start counts ${amount(startSeconds)}, ${how}.</p>`;
}

function whatIfTable(rows: readonly WhatIfFacts[], since: string, price: StatusFacts["price"]): Html {
  const caption = html`What each idle timeout would have saved and cost on the sessions seen since ${
    time(since)
  } UTC`;
  return table(caption, rows, [
    {
      head: "Idle timeout",
      cell: ({ idleTimeoutSeconds, isSet }) =>
        html`${formatDurationMs(idleTimeoutSeconds * 1_000)}${
          isSet && html`
            <span class="badge">set</span>
          `
        }`,
    },
    { head: "Pods ran", kind: "number", cell: (row) => amount(row.podSecondsRunning) },
    { head: "Pods slept", kind: "number", cell: (row) => amount(row.podSecondsAsleep) },
    price && { head: "Money saved", kind: "number", cell: (row) => money(row.money ?? 0, price) },
    { head: "Cold starts", kind: "number", cell: ({ coldStarts }) => coldStarts },
    {
      head: "Clients waited",
      kind: "number",
      cell: ({ secondsWaited }) => secondsWaited === undefined ? "not known yet" : amount(secondsWaited),
    },
  ], { isSet: ({ isSet }) => isSet });
}
