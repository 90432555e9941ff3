/**
 * Safety rules, each broken on purpose, as changes of the program's text: what `mutations.ts` makes, one at a time.
 *
 * @module
 */

import { BLINDING } from "./simulate.ts";

/** One change of the program's text. */
export interface Mutation {
  /** What is done instead of the rule. */
  readonly what: string;
  /** The file in `lib`. */
  readonly file: string;
  /** Its text, and what takes its place. */
  readonly change: readonly (readonly [before: string, after: string])[];
  /** Arguments of `run.ts` with which it is likely to matter. */
  readonly run?: readonly string[];
  /** Another mutation that has to come with this one, since either rule alone is enough. */
  readonly and?: string;
  /** Why the simulation cannot be expected to notice it. */
  readonly unseen?: string;
}

/** One proxy that nothing keeps from what it has to know: only then the judge looks at surpluses and traces. */
const ONE_CLEAR_PROXY = ["--proxies", "1", "--without", [...BLINDING, "crash", "wildClocks"].join()];

/** All of them, by a short name. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "no-second-phase": {
    what: "a leader asks nobody else",
    file: "ha/consent.ts",
    change: [["if (others.length === 0) return true;", "if (others.length >= 0) return true;"]],
  },
  "silence-is-consent": {
    what: "a leader goes on without the answers that have not come in time",
    file: "ha/consent.ts",
    change: [[
      'log.debug("consent_missing", { silent: missing.map(({ identity }) => identity) });\n          return false;',
      "return true;",
    ]],
  },
  "no-voter": {
    what: "the leader makes no promise itself",
    file: "ha/consent.ts",
    change: [["if (!placement.promise(wanted)) return false;", ""]],
  },
  "answers-busy": {
    what: "a proxy answers although it has sessions there, and the leader does not look again",
    file: "scaler/agreement.ts",
    change: [["return highest >= below || needed > below;", "return needed > below;"]],
    and: "no-second-look",
  },
  "no-second-look": {
    what: "a leader that has all answers does not look whether the pod is needed by now",
    unseen: "the promises are enough for sessions; it spares a client a cold start",
    file: "scaler/scaler.ts",
    change: [["if (!this.#wantsLower(this.#decide()) || placement", "if (placement"]],
  },
  "answer-does-not-bind": {
    what: "a proxy answers, and promises nothing",
    file: "scaler/placement.ts",
    change: [["    this.#agreement = promise(this.#agreement, made);\n    return true;", "    return true;"]],
  },
  "promise-dropped": {
    what: "a promise ends when the announcement is withdrawn",
    file: "ha/consent.ts",
    change: [[
      "const wanted = body?.announcement ?? null;",
      "const wanted = body?.announcement ?? null;\n      if (wanted === null && statement.answers[leader] !== undefined) {\n" +
      "        statement.keepAnswersTo(new Set());\n        placement.unbind();\n      }",
    ]],
  },
  "last-answer-binds": {
    what: "only the promise that was made last binds",
    unseen: "it takes two pods; the enumeration of the agreement shows it",
    file: "scaler/agreement.ts",
    change: [[": { seen, promises: [...rest, made] };", ": { seen, promises: [made] };"]],
  },
  "no-promise-at-join": {
    what: "a proxy that joins is not bound by what it has not heard",
    file: "ha/membership.ts",
    change: [["placement.bind(version);", ""]],
  },
  "old-answers": {
    what: "an answer to any earlier announcement counts",
    file: "ha/votes.ts",
    change: [["[leader] === generation", "[leader] !== undefined"]],
  },
  "no-version": {
    what: "the write of a scale-down names no version",
    file: "kube/scale.ts",
    change: [[
      'method: "PUT", query, body: body(count) }',
      'method: "PUT", query, body: { ...body(count), metadata: { name, namespace } } }',
    ]],
  },
  "blind-claim": {
    what: "a claim names no version",
    file: "scaler/replica_count.ts",
    change: [
      ["scale.apply(claim, this.#newManager()", 'scale.apply({ ...claim, version: "" }, this.#newManager()'],
      ["scale.apply(seen, this.#newManager()", 'scale.apply({ ...seen, version: "" }, this.#newManager()'],
    ],
  },
  "no-second-check": {
    what: "the seat is not checked again after the dial",
    file: "proxy/wait.ts",
    change: [["if (!dialling.aborted && seats.connected(seat)) {", "if (!dialling.aborted) {"]],
  },
  "counts-after-dial": {
    what: "a session counts for its ordinal only when it sends its first bytes",
    file: "scaler/usage.ts",
    change: [
      ["    add(this.#onOrdinal, ordinal, 1);\n", ""],
      [
        'if (state?.at !== "ordinal" || state.used) return false;\n' +
        "    this.#sessions.set(id, { ...state, used: true });\n",
        'if (state?.at !== "ordinal" || state.counted) return false;\n' +
        "    add(this.#onOrdinal, state.ordinal, 1);\n" +
        "    this.#sessions.set(id, { ...state, used: true, counted: true });\n",
      ],
      [
        "add(this.#onOrdinal, state.ordinal, -1);",
        "if (state.counted) add(this.#onOrdinal, state.ordinal, -1);",
      ],
    ],
  },
  "lapse-unnoticed": {
    what: "a proxy that was silent for too long goes on as if nothing were",
    file: "ha/standing.ts",
    change: [[
      "return this.ageMs >= (this.#renewal?.goodForMs ?? recordExpiryMs) - recordExpiryMs * MARGIN_PART;",
      "return false;",
    ]],
  },
  "no-rejoin": {
    what: "a renewal that comes too late makes up for the silence",
    file: "ha/own_record.ts",
    change: [["      if (standing.lapsed)", "      standing.renewal = renewal;\n      if (standing.lapsed)"]],
  },
  "busy-expires": {
    what: "the record of a proxy that lives expires",
    file: "ha/record_expiry.ts",
    change: [["return unchangedMs >= expiryMs;", "return unchangedMs >= expiryMs / 20;"]],
  },
  "drain-deletes-record": {
    what: "a proxy leaves the others as soon as it is told to stop",
    file: "app/shutdown.ts",
    change: [
      [
        "  scaler.stopLowering();\n",
        "  scaler.stopLowering();\n  void proxies.leave(tasks.signal).catch(() => {});\n",
      ],
    ],
    and: "drain-takes-no-part",
  },
  "drain-takes-no-part": {
    what: "a proxy that was told to stop renews its record no more, and answers nobody",
    file: "target/target.ts",
    change: [
      [
        "runProxies(proxies, observer, this.#at, places, signal));",
        "runProxies(proxies, observer, this.#at, places, AbortSignal.any([signal, this.#ports.stop.drain])).catch(() => {}));",
      ],
    ],
    unseen: "its record expires later than its sessions end",
  },
  "suspect-used": {
    what: "a suspect pod is used at once",
    file: "scaler/suspects.ts",
    change: [[
      "return settledMs === undefined ? -Infinity : settledMs + VERIFIED_AFTER_MS;",
      "return settledMs === undefined ? -Infinity : -Infinity;",
    ]],
  },
  "terminating-used": {
    what: "a session is placed on a pod that is being deleted, and beyond the count",
    file: "scaler/placement.ts",
    change: [[
      "!terminating &&\n      ordinal < Math.min(placeableBelow(this.#agreement), this.#capacity.maxReplicas)",
      "ordinal < this.#capacity.maxReplicas",
    ]],
  },
  "watched-list": {
    what: "those who must answer are taken from the watch, not from a consistent list",
    file: "ha/consent.ts",
    change: [["mustAnswer(await records.list(signal), identity)", "mustAnswer(records.all, identity)"]],
  },
  "bookmark-version": {
    what: "any version that comes along ends a promise: nothing is compared",
    file: "scaler/agreement.ts",
    change: [[
      "promises: agreement.promises.filter(({ version }) => !isNewer(seen.version, version))",
      "promises: []",
    ]],
  },
  "wall-clock": {
    what: "the age of a record is the wall time since the one that its proxy has written into it",
    file: "ha/known_records.ts",
    change: [[
      "    this.#take(() => this.#records.listed(leases, askedMs, clock.nowMs()));\n    return this.#records.all;\n",
      "    this.#take(() => this.#records.listed(leases, askedMs, clock.nowMs()));\n" +
      "    return this.#records.all.map((it) => ({\n" +
      "      ...it,\n" +
      "      unchangedMs: clock.wallMs() - Date.parse(it.lease.spec!.renewTime!),\n" +
      "    }));\n",
    ]],
  },
  "unknown-state": {
    what: "a leader that cannot reach the others' records takes it that there are none",
    file: "ha/consent.ts",
    change: [[
      "mustAnswer(await records.list(signal), identity)",
      "mustAnswer(await records.list(signal).catch(() => []), identity)",
    ]],
  },
  "leader-forgets-held": {
    what: "a claim that failed counts as one that has succeeded",
    file: "scaler/replica_count.ts",
    change: [[
      "const after = await this.#write(claim, () => scale.apply(claim, this.#newManager(), signal));",
      "const after = await this.#write(claim, () => scale.apply(claim, this.#newManager(), signal)).catch(() => ({ " +
      "replicas: claim.replicas, version: String(Number(seen.version) + 1) }));",
    ]],
  },
  "watcher-needs-pod": {
    what: "a client that only watches is held like one that builds",
    file: "route/pool.ts",
    change: [["const watches = isIdle(caller);", "const watches = false;"]],
    run: ["--watchers", "3"],
  },
  "watcher-unheard": {
    what: "a watcher that makes another call goes on counting for nothing",
    file: "proxy/call_tap.ts",
    change: [["if (this.#calls.over || !calls.every(mayWatch)) {", "if (this.#calls.over) {"]],
    run: ["--watchers", "3"],
  },
  "watcher-stays": {
    what: "a watcher does not end when its pod is to go",
    file: "route/watchers.ts",
    change: [["if (isConnected && !builder!.seats.keeps(id)) arrival", "if (id < 0) arrival"]],
    run: ["--watchers", "3"],
  },
  "early-overflow": {
    what: "a session goes to the last builder with reach, not to the first",
    file: "route/plan.ts",
    change: [["? usable.find(({ reach })", "? usable.findLast(({ reach })"]],
    run: ["--builders", "3"],
  },
  "late-waits": {
    what: "a session that has waited for long goes on waiting for a pod that starts, although another runs",
    file: "route/plan.ts",
    change: [["const open = session.late ?", "const open = false ?"]],
    run: ["--builders", "3"],
  },
  "last-come-first": {
    what: "of the sessions of a project, the last to come is the first to be seated",
    file: "route/queue.ts",
    change: [["line.waiting.findLastIndex((other) => other < id) + 1,", "0,"]],
    run: ["--builders", "2"],
  },
  "stuck-is-usable": {
    what: "a session may go to a builder whose start makes no progress",
    file: "route/plan.ts",
    change: [['return state !== "stuck" && state', "return state"]],
    run: ["--builders", "3"],
  },
  "no-hard-limit": {
    what: "a pod takes as many sessions as come",
    file: "scaler/capacity.ts",
    change: [["return maxSessionsPerReplica || Infinity;", "return maxSessionsPerReplica * 0 || Infinity;"]],
    run: ["--builders", "2", "--proxies", "1", "--watchers", "0"],
  },
  "surplus-goes": {
    what: "a surplus that somebody else raises again and again is kept no longer each time",
    file: "scaler/surplus.ts",
    change: [["idleTimeoutMs * 2 ** times", "idleTimeoutMs"]],
    run: [...ONE_CLEAR_PROXY, "--replicas", "2"],
  },
  "siblings-apart": {
    what: "connections of one trace go to several builders",
    file: "route/pool.ts",
    change: [[
      "const found = this.#siblings.find(caller?.traceId);",
      "const found = this.#siblings.find(undefined);",
    ]],
    run: [...ONE_CLEAR_PROXY, "--builders", "3"],
  },
  "cordoned-used": {
    what: "a builder that takes no new sessions takes them",
    file: "target/target.ts",
    change: [["settings.isCordoned ? cordoned(observer) : observer", "observer"]],
    run: ["--builders", "3"],
  },
  "no-turns": {
    what: "the project that began to wait first is served until none of it waits",
    file: "route/queue.ts",
    change: [[".sort((a, b) => lastTurn(a) - lastTurn(b))", ""]],
    run: [...ONE_CLEAR_PROXY, "--builders", "1"],
  },
  "silence-wakes": {
    what: "a connection that says nothing wakes a builder in spite of --wake-on data",
    file: "proxy/wait.ts",
    change: [['this.#settings.wakeOn === "connect"', "true"]],
  },
  "kept-for-less": {
    what: "a builder is kept awake for a quarter of the time that a client was promised",
    file: "route/wakes.ts",
    change: [["clock.setTimer(forMs, ", "clock.setTimer(forMs / 4, "]],
    run: ONE_CLEAR_PROXY,
  },
  "answers-for-another": {
    what: "a proxy answers for each builder by its sessions on the first one",
    file: "target/target.ts",
    change: [
      [
        "/** One StatefulSet, and this",
        "const FIRST = new WeakMap<object, Placement>();\n\n/** One StatefulSet, and this",
      ],
      [
        "      ...shared.ofProxies,\n      placement,",
        "      ...shared.ofProxies,\n      placement: (FIRST.get(shared) ?? FIRST.set(shared, placement).get(shared))!,",
      ],
    ],
    run: ["--builders", "3"],
  },
};
