/**
 * The status page: a frame that stays, and parts in it that change. Without JavaScript the page is complete; with it, parts
 * are replaced as they change (`script.ts`). Pure.
 *
 * @module
 */
import type { BuilderFacts, ProxyFacts, StatusFacts, WaitFacts } from "../status_facts.ts";
import { badge, decisionsPart, nowPart, savingsPart, timelinePart } from "./builder.ts";
import { folded, Html, html } from "./html.ts";
import { type Column, table } from "./table.ts";
import { WINDOWS } from "./timeline.ts";
import { amount, count, outcomeText, savedText, STATES, time } from "./words.ts";

/** The parts by the id of their element. */
export type Parts = ReadonlyMap<string, string>;

/** The id of a part that is text for screen readers: what matters most, in one sentence. */
const NEWS = "news";

/**
 * All parts. `window` is a key of `WINDOWS`. Awaits `turn` before each builder: many of them take longer together than
 * sessions should have to wait.
 */
export async function partsOf(
  facts: StatusFacts,
  window: string,
  turn: () => Promise<void> = () => Promise.resolve(),
): Promise<Parts> {
  const parts = new Map<string, Html>([
    [NEWS, html`${newsOf(facts)}`],
    ["summary", summaryPart(facts)],
    ["builders", overviewPart(facts)],
    ["waiting", waitingPart(facts)],
    ["proxies", proxiesPart(facts)],
    ["sessions", sessionsPart(facts)],
  ]);
  for (const [at, builder] of facts.builders.entries()) {
    await turn();
    parts.set(`b${at}-now`, nowPart(builder));
    parts.set(`b${at}-timeline`, timelinePart(builder, `b${at}-picture`, facts.now, window));
    parts.set(`b${at}-decisions`, decisionsPart(builder, `b${at}-earlier`));
    parts.set(`b${at}-savings`, savingsPart(builder, facts.price));
  }
  return new Map([...parts].map(([id, { markup }]) => [id, markup]));
}

/** The whole page, with its parts. */
export function page(facts: StatusFacts, window: string, parts: Parts): string {
  const part = (id: string) => html`<div id="${id}">${new Html(parts.get(id)!)}</div>`;
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>buildkitd-autoscaler</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="status.css">
        <script src="status.js" defer></script>
      </head>
      <body data-live="status.live?window=${window}">
        <a class="skip" href="#main">Skip to the builders</a>
        <header>
          <h1>buildkitd-autoscaler</h1>
          <p class="version">Version ${facts.version}, started ${facts.started.slice(0, 10)} ${time(
            facts.started,
          )} UTC</p>
          <p class="live"><span id="live" role="status">As of ${time(facts.now)} UTC.</span>
    <button id="pause" type="button" hidden>Pause</button>
    <noscript>Reload the page to see what is new.</noscript></p>
        </header>
        <p id="${NEWS}" class="unseen" aria-live="polite">${new Html(parts.get(NEWS)!)}</p>
        <main id="main">
    ${part("summary")}
    <section aria-labelledby="waiting-title"><h2 id="waiting-title">Who waits</h2>${part("waiting")}</section>
    ${facts.builders.length > 1 &&
      html`<section aria-labelledby="builders-title"><h2 id="builders-title">Builders</h2>${
        part("builders")
      }</section>`}
    ${windows(window)}
    ${facts.builders.map((builder, at) => builderSection(builder, at, part))}
    <section aria-labelledby="proxies-title"><h2 id="proxies-title">Proxies</h2>${part("proxies")}</section>
    <section aria-labelledby="sessions-title"><h2 id="sessions-title">Last sessions</h2>${part(
      "sessions",
    )}</section>
        </main>
        <footer>
          <p>Also here: <a href="status.json">status.json</a>, <a href="metrics">metrics</a>,
    <a href="healthz?verbose">healthz?verbose</a>, <a href="readyz?verbose">readyz?verbose</a>, <a href="route">route</a>.</p>
        </footer>
      </body>
    </html>
  `.markup;
}

function builderSection(
  { name, pool, observed }: BuilderFacts,
  at: number,
  part: (id: string) => Html,
): Html {
  const title = `b${at}-title`;
  return html`<section class="builder" id="b${at}" aria-labelledby="${title}">
<h2 id="${title}">${name}${
    pool !== "" && html`
      <span class="pool">pool ${pool}</span>
    `
  }</h2>
${part(`b${at}-now`)}
<h3>Timeline</h3>
${legend(observed !== undefined)}
${part(`b${at}-timeline`)}
<div class="columns">
<div><h3>Decisions</h3>${part(`b${at}-decisions`)}</div>
<div><h3>Savings</h3>${part(`b${at}-savings`)}</div>
</div>
</section>`;
}

/** Which lengths of time the timelines can show. */
function windows(window: string): Html {
  return html`
    <nav aria-label="Length of the timelines">
      <ul class="windows"><li>Timelines:</li>${[...WINDOWS.keys()].map((name) =>
        html`<li><a href="?window=${name}"${
          name === window && html`
            aria-current="true"
          `
        }>${name}</a></li>`
      )}</ul>
    </nav>
  `;
}

function legend(observes: boolean): Html {
  const bar = (kind: string, height: number, text: string) =>
    html`<li><svg viewBox="0 0 18 14" class="swatch" aria-hidden="true"><rect class="${kind}" x="1" y="${
      7 - height / 2
    }" width="16" height="${height}"/></svg>${text}</li>`;
  return html`<ul class="legend">${[
    bar("pod ready", 13, "ready"),
    bar("pod starting", 10, "starting"),
    bar("pod wanted", 6, "wanted"),
    bar("pod terminating", 3, "terminating"),
    bar("sessions", 12, "sessions"),
    bar("held", 12, "held"),
    bar("queued", 12, "queued"),
    observes && bar("virtual", 3, "would run without observe mode"),
  ]}</ul>`;
}

/** What matters most, in one sentence: it is read out when it changes. */
function newsOf({ ready, observes, builders, sessions }: StatusFacts): string {
  const states = Map.groupBy(builders, ({ state }) => state);
  const all = builders.length === 1
    ? `${builders[0]!.name} is ${STATES[builders[0]!.state].toLowerCase()}`
    : [...states].map(([state, each]) => `${each.length} ${STATES[state].toLowerCase()}`).join(", ");
  const waits = sessions.held === 0 ? "nobody waits" : `${count(sessions.held, "session")} held`;
  return `${ready ? "" : "Not ready. "}${observes ? "Observe mode. " : ""}${all}; ${waits}.`;
}

function summaryPart(
  { ready, notReadyBecause, observes, builders, sessions, saved: really, wouldSave, price, queues }:
    StatusFacts,
): Html {
  const saved = wouldSave ?? really;
  const queued = queues.reduce((sum, queue) => sum + queue.queued, 0);
  const usable = builders.filter(({ state }) => state === "ready").length;
  const card = (name: string, value: string | number | Html, more: string) =>
    html`
      <div class="card">
        <dt>${name}</dt>
        <dd><strong>${value}</strong> <span>${more}</span></dd>
      </div>
    `;
  return html`${!ready && html`<p class="notice fault">This proxy is not ready: ${notReadyBecause}</p>`}
${
    observes &&
    html`
      <p
        class="notice"><strong>Observe mode:</strong> this proxy writes no replica count and wakes nothing. Below is
      what it would have done and saved.</p>
    `
  }
<dl class="cards">
${
    builders.length === 1
      ? card("Builder", badge(builders[0]!), count(builders[0]!.replicas ?? 0, "replica"))
      : card("Builders", `${usable} ready`, `of ${builders.length}`)
  }
${card("Sessions", sessions.open, "open")}
${card("Waiting", sessions.held, queued === 0 ? "held" : `held, ${queued} queued`)}
${
    card(
      observes ? "Would have saved" : "Saved",
      savedText(saved, price),
      price === undefined
        ? "of pods asleep"
        : `${observes ? "pods would have slept" : "pods slept"} ${amount(saved.podSecondsAsleep)}`,
    )
  }
${
    card(
      observes ? "Would have cost" : "Cost",
      count(saved.coldStarts, "cold start"),
      `${observes ? "clients would have waited about" : "clients waited"} ${amount(saved.secondsWaited)}`,
    )
  }
</dl>`;
}

function overviewPart({ builders, observes, price }: StatusFacts): Html {
  return table("All builders", builders, [
    { head: "Builder", cell: ({ name }, at) => html`<a href="#b${at}">${name}</a>` },
    { head: "Pool", cell: ({ pool }) => pool || "default" },
    { head: "State", cell: badge },
    { head: "Replicas", kind: "number", cell: ({ replicas }) => replicas ?? "unknown" },
    observes && {
      head: "Without observe mode",
      kind: "number" as const,
      cell: ({ observed }: BuilderFacts) => observed?.replicas ?? "unknown",
    },
    { head: "Sessions", kind: "number", cell: ({ sessions }) => sessions },
    { head: "Held", kind: "number", cell: ({ held }) => held },
    {
      head: "Next scale-down",
      cell: ({ scaleDownAt }) => scaleDownAt === undefined ? "none due" : time(scaleDownAt),
    },
    {
      head: observes ? "Would have saved" : "Saved",
      kind: "number",
      cell: ({ saved, observed }) => savedText(observed?.saved ?? saved, price),
    },
  ]);
}

const WAITS_FOR = { pod: "a pod", room: "room on a builder", nothing: "nothing, it only watches" } as const;

function waitingPart({ waiting, moreWaiting, builders, queues }: StatusFacts): Html {
  if (waiting.length === 0) return html`<p>Nobody waits.</p>`;
  const reasons = new Map(builders.map(({ name, waitsBecause }) => [name, waitsBecause]));
  const whatFor = ({ waitsFor, builder }: WaitFacts) => {
    const reason = builder === undefined ? undefined : reasons.get(builder);
    return [WAITS_FOR[waitsFor], builder && ` of ${builder}`, reason && `: ${reason}`];
  };
  const all = table("Sessions that wait, the first to come first (UTC)", waiting, [
    { head: "Session", cell: ({ session }) => session },
    CLIENT,
    hasProjects(waiting) && PROJECT,
    queues.length > 1 && { head: "Pool", cell: ({ pool }: WaitFacts) => pool || "default" },
    { head: "Since", cell: ({ since }) => time(since) },
    { head: "Waits for", kind: "free", cell: whatFor },
  ]);
  return html`${all}${moreWaiting > 0 && html`<p>And ${moreWaiting} more.</p>`}`;
}

/** Whose a session is. */
const CLIENT: Column<Pick<WaitFacts, "client" | "clientName">> = {
  head: "Client",
  kind: "free",
  cell: ({ client = "unknown", clientName }) =>
    clientName === undefined ? client : `${clientName} (${client})`,
};

const PROJECT: Column<Pick<WaitFacts, "project">> = {
  head: "Project",
  kind: "free",
  cell: ({ project }) => project ?? "none",
};

function proxiesPart({ proxies, observes }: StatusFacts): Html {
  return table("All proxies in front of the builders that are alive", proxies, [
    { head: "Proxy", cell: ({ identity }) => identity },
    { head: "Role", cell: (proxy) => rolesOf(proxy, observes) },
    { head: "In use", cell: useOf },
  ]);
}

function rolesOf({ isThis, leads }: ProxyFacts, observes: boolean): string {
  return [isThis && "this one", leads && (observes ? "leads" : "leads: it scales down")].filter(Boolean).join(
    "; ",
  ) || "another one";
}

function useOf({ uses }: ProxyFacts): string {
  const busy = uses.filter(({ text }) => text !== "idle");
  const texts = busy.map(({ builder, text }) => uses.length === 1 ? text : `${builder}: ${text}`);
  return texts.join("; ") || "idle";
}

/** Sessions that are shown unless more are asked for. */
const FEW_SESSIONS = 8;

function sessionsPart({ lastSessions }: StatusFacts): Html {
  if (lastSessions.length === 0) return html`<p>No session has ended since this proxy started.</p>`;
  const caption = "Sessions that have ended, the newest first (UTC)";
  return folded(lastSessions, FEW_SESSIONS, "earlier-sessions", sessionTable, caption);
}

/** Where one builder serves all, a project decides nothing, and need not be known. */
function hasProjects(sessions: readonly { readonly project?: string }[]): boolean {
  return sessions.some(({ project }) => project !== undefined);
}

function sessionTable(sessions: StatusFacts["lastSessions"], caption: string): Html {
  return table(caption, sessions, [
    { head: "Ended", cell: ({ at }) => time(at) },
    { head: "Session", cell: ({ session }) => session },
    CLIENT,
    hasProjects(sessions) && PROJECT,
    { head: "Pod", cell: ({ pod, routed }) => [pod ?? "none", routed && ` (${routed})`] },
    {
      head: "Outcome",
      kind: "free",
      cell: ({ outcome, reason }) => [outcomeText(outcome), reason && `: ${reason}`],
    },
    { head: "Waited", kind: "number", cell: ({ secondsHeld }) => amount(secondsHeld) },
    { head: "Took", kind: "number", cell: ({ seconds }) => amount(seconds) },
  ]);
}
