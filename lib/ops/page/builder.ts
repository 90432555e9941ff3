/**
 * The parts of the status page that are about one builder: what it looks like now, its timeline, its last decisions, and
 * what was and could be saved. Pure.
 *
 * @module
 */
import { formatDurationMs } from "../../config/duration.ts";
import type { BuilderFacts, PointFacts, StatusFacts, WhatIfFacts } from "../status_facts.ts";
import { folded, type Html, html } from "./html.ts";
import { timeline, WINDOWS } from "./timeline.ts";
import { amount, count, money, PHASES, STATES, time } from "./words.ts";

/** What it looks like now. */
export function nowPart(builder: BuilderFacts): Html {
  const { replicas, settings: { maxReplicas }, because, sessions, held, pods } = builder;
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
${row("Why", because)}
${row("Sessions", `${sessions} running, ${held} held`)}
${row("Next scale-down", scaleDown(builder))}
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
function scaleDown({ scaleDownAt, replicas = 0, sessions, settings }: BuilderFacts): Html {
  const timeout = formatDurationMs(settings.idleTimeoutSeconds * 1_000);
  if (scaleDownAt !== undefined) return html`at ${time(scaleDownAt)} UTC, unless a client comes before`;
  if (replicas === 0) return html`none: there is no pod`;
  if (sessions === 0 && settings.floor >= replicas) {
    return html`none: ${count(settings.floor, "replica stays", "replicas stay")} without clients`;
  }
  return html`${timeout} after the last session has ended`;
}

function podTable(pods: BuilderFacts["pods"]): Html {
  return html`
    <div class="scroll">
      <table class="narrow">
        <caption>Pods</caption>
        <thead>
          <tr>
            <th scope="col">Pod</th>
            <th scope="col">Phase</th>
            <th scope="col" class="number">Sessions</th>
          </tr>
        </thead>
        <tbody>${pods.map(({ name, ordinal, phase, sessions }) =>
          html`
            <tr>
              <th scope="row">${name ?? `ordinal ${ordinal}`}</th>
              <td>${PHASES[phase]}</td>
              <td class="number">${sessions}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
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
  return html`
    <div class="scroll">
      <table>
        <caption>What it has looked like, the newest first (UTC)</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col" class="number">Replicas</th>
            <th scope="col">Pods</th>
            <th scope="col" class="number">Sessions</th>
            <th scope="col" class="number">Held</th>
            <th scope="col" class="number">Queued</th>
          </tr>
        </thead>
        <tbody>${points.slice(-MOST_ROWS).reverse().map(({ at, replicas, pods, sessions, held, queued }) =>
          html`
            <tr>
              <th scope="row">${time(at)}</th>
              <td class="number">${replicas ?? "unknown"}</td>
              <td>${pods.map((phase) => phase ?? "none").join(", ") || "none"}</td>
              <td class="number">${sessions}</td>
              <td class="number">${held}</td>
              <td class="number">${queued}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

/** Decisions that are shown unless more are asked for. */
const FEW_DECISIONS = 6;

/** The last decisions. */
export function decisionsPart({ decisions }: BuilderFacts, id: string): Html {
  if (decisions.length === 0) return html`<p>The count was not changed since this proxy started.</p>`;
  return folded(decisions, FEW_DECISIONS, id, decisionTable, "The newest first (UTC)");
}

function decisionTable(decisions: BuilderFacts["decisions"], caption: string): Html {
  return html`
    <div class="scroll">
      <table>
        <caption>${caption}</caption>
        <thead>
          <tr>
            <th scope="col">At</th>
            <th scope="col">What</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>${decisions.map(({ at, text, from, to, because }) =>
          html`
            <tr>
              <th scope="row">${time(at)}</th>
              <td>${text}${to !== undefined && html`
                <span class="change">${from ?? "?"} → ${to}</span>
              `}</td>
              <td class="free">${because}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

/** What was saved, and what other idle timeouts would have saved. */
export function savingsPart(
  { saved, whatIf, whatIfSince, settings }: BuilderFacts,
  price: StatusFacts["price"],
): Html {
  const inMoney = saved.money === undefined ? "" : `, worth ${money(saved.money, price)}`;
  const timeout = formatDurationMs(settings.idleTimeoutSeconds * 1_000);
  return html`<p>Pods have slept for <strong>${
    amount(saved.podSecondsAsleep)
  }</strong>${inMoney}. The price: ${count(saved.coldStarts, "cold start")}; clients waited ${
    amount(saved.secondsWaited)
  } in all. The idle timeout is ${timeout}.</p>
${
    whatIfSince !== undefined && html`
      <div class="scroll">
        <table>
          <caption>What each idle timeout would have saved and cost on the sessions seen since ${time(
            whatIfSince,
          )} UTC</caption>
          <thead>
            <tr><th scope="col">Idle timeout</th><th scope="col" class="number">Pods ran</th><th scope="col" class="number">Pods slept</th>${price &&
              html`<th scope="col" class="number">Money saved</th>`}<th scope="col" class="number">Cold starts</th><th scope="col" class="number">Clients waited</th></tr>
          </thead>
          <tbody>${whatIf.map((row) => whatIfRow(row, price))}</tbody>
        </table>
      </div>
    `
  }`;
}

function whatIfRow(row: WhatIfFacts, price: StatusFacts["price"]): Html {
  const timeout = formatDurationMs(row.idleTimeoutSeconds * 1_000);
  return html`<tr${
    row.isSet && html`
      class="set"
    `
  }><th scope="row">${timeout}${
    row.isSet && html`
      <span class="badge">set</span>
    `
  }</th><td class="number">${amount(row.podSecondsRunning)}</td><td class="number">${
    amount(row.podSecondsAsleep)
  }</td>${
    price && html`<td class="number">${money(row.money ?? 0, price)}</td>`
  }<td class="number">${row.coldStarts}</td><td class="number">${
    row.secondsWaited === undefined ? "not known yet" : amount(row.secondsWaited)
  }</td></tr>`;
}
