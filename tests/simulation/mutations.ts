/**
 * Safety rules, each broken on purpose, to show that the simulation notices:
 *
 *     deno run -A tests/simulation/mutations.ts [--seeds 2000] [--from 1] [NAME …]
 *
 * A mutation is a change of the program's text. It is made in a copy of the program in a temporary folder, in which the
 * simulation then runs until a seed fails. Prints for each how many seeds that took; the exit code is 1 if one survives
 * that should not. Text that is not there any more is an error, so that no mutation goes stale unseen.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** One change. */
interface Mutation {
  /** What is done instead of the rule. */
  readonly what: string;
  /** The file in `lib`. */
  readonly file: string;
  /** Its text, and what takes its place. */
  readonly change: readonly (readonly [before: string, after: string])[];
}

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
      'log.debug("no consent", { silent: missing.map(({ identity }) => identity) });\n          return false;',
      "return true;",
    ]],
  },
  "no-voter": {
    what: "the leader makes no promise itself",
    file: "ha/consent.ts",
    change: [["if (!placement.promise(wanted)) return false;", ""]],
  },
  "answers-busy": {
    what: "a proxy answers although it has sessions there",
    file: "scaler/agreement.ts",
    change: [["return highest >= below || needed > below;", "return needed > below;"]],
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
      "const wanted = body?.announcement ?? null;\n      if (wanted === null && this.#answered.delete(leader)) placement.unbind();",
    ]],
  },
  "last-answer-binds": {
    what: "only the promise that was made last binds",
    file: "scaler/agreement.ts",
    change: [[": { seen, promises: [...rest, made] };", ": { seen, promises: [made] };"]],
  },
  "no-promise-at-join": {
    what: "a proxy that joins is not bound by what it has not heard",
    file: "ha/membership.ts",
    change: [["placement.bind(count.version);", ""]],
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
    what: "a claim names no version, and claims only what is needed",
    file: "scaler/scaler.ts",
    change: [[
      "const write = () => scale.apply(claim, this.#newName(), signal);",
      'const write = () => scale.apply({ replicas: decision.desired, version: "" }, this.#newName(), signal);',
    ]],
  },
  "no-second-check": {
    what: "the seat is not checked again after the dial",
    file: "proxy/session.ts",
    change: [["if (placement.holds(seat) && !dialling.aborted) {", "if (!dialling.aborted) {"]],
  },
  "counts-after-dial": {
    what: "a session counts for its ordinal only when it sends its first bytes",
    file: "scaler/usage.ts",
    change: [
      ["    this.#onOrdinal.set(ordinal, this.on(ordinal) + 1);\n", ""],
      [
        'if (state?.at === "ordinal" && !state.used) this.#sessions.set(id, { ...state, used: true });',
        'if (state?.at === "ordinal" && !state.counted) {\n' +
        "      this.#onOrdinal.set(state.ordinal, this.on(state.ordinal) + 1);\n" +
        "      this.#sessions.set(id, { ...state, used: true, counted: true });\n    }",
      ],
      [
        "const left = this.on(state.ordinal) - 1;",
        "const left = this.on(state.ordinal) - (state.counted ? 1 : 0);",
      ],
    ],
  },
  "lapse-unnoticed": {
    what: "a proxy that was silent for too long goes on as if nothing were",
    file: "ha/own_record.ts",
    change: [["return this.ageMs >= this.#ports.expiryMs * (1 - MARGIN_PART);", "return false;"]],
  },
  "no-rejoin": {
    what: "a renewal that comes too late makes up for the silence",
    file: "ha/own_record.ts",
    change: [["      this.#renewed = before;\n      if (this.lapsed)", "      if (this.lapsed)"]],
  },
  "busy-expires": {
    what: "the record of a proxy that lives expires",
    file: "ha/records.ts",
    change: [["return unchangedMs >= expiryMs;", "return unchangedMs >= expiryMs / 20;"]],
  },
  "drain-deletes-record": {
    what: "a proxy deletes its record as soon as it is told to stop",
    file: "app.ts",
    change: [[
      "  scaler.stopLowering();\n",
      "  scaler.stopLowering();\n  void proxies.leave(tasks.signal).catch(() => {});\n",
    ]],
  },
  "condemned-trusted": {
    what: "a pod that a lower count has condemned is used again at once",
    file: "scaler/condemned.ts",
    change: [[
      "return settledMs === undefined ? -Infinity : settledMs + TRUST_AFTER_MS;",
      "return settledMs === undefined ? -Infinity : -Infinity;",
    ]],
  },
  "terminating-used": {
    what: "a session is placed on a pod that is being deleted, and beyond the count",
    file: "scaler/placement.ts",
    change: [[
      "!terminating &&\n      ordinal < Math.min(placeableBelow(this.#agreement), this.#maxReplicas)",
      "ordinal < this.#maxReplicas",
    ]],
  },
  "watched-list": {
    what: "those who must answer are taken from the watch, not from a consistent list",
    file: "ha/consent.ts",
    change: [["mustAnswer(await list(signal), identity)", "mustAnswer(this.#ports.seen(), identity)"]],
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
    what: "ages of records are taken from the wall clock",
    file: "ha/proxies.ts",
    change: [
      ["const askedMs = clock.nowMs();", "const askedMs = clock.wallMs();"],
      [
        "this.#records.listed(leases, askedMs, clock.nowMs());",
        "this.#records.listed(leases, askedMs, clock.wallMs());",
      ],
      ["this.#records.changed(change, clock.nowMs());", "this.#records.changed(change, clock.wallMs());"],
    ],
  },
  "unknown-state": {
    what: "a leader that cannot reach the others' records takes it that there are none",
    file: "ha/consent.ts",
    change: [[
      "mustAnswer(await list(signal), identity)",
      "mustAnswer(await list(signal).catch(() => []), identity)",
    ]],
  },
  "leader-forgets-held": {
    what: "a claim that failed counts as one that has succeeded",
    file: "scaler/scaler.ts",
    change: [[
      "const count = await this.#announced(claim.replicas, write);",
      "const count = await this.#announced(claim.replicas, write).catch(() => ({ replicas: claim.replicas, " +
      "version: String(Number(seen.version) + 1) }));",
    ]],
  },
};

/** Runs the simulation on a copy with this change. The number of the seed that fails, counted from 1, and why. */
async function seedsToFind(
  root: URL,
  { file, change }: Mutation,
  seeds: number,
  from: number,
): Promise<{ readonly needed: number; readonly why: string } | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    for (const path of ["lib", "tests/simulation", "tests/support"]) {
      await copy(new URL(path, root), `${folder}/${path}`);
    }
    for (const path of ["deno.json", "deno.lock"]) {
      await Deno.copyFile(new URL(path, root), `${folder}/${path}`);
    }
    const path = `${folder}/lib/${file}`;
    let text = await Deno.readTextFile(path);
    for (const [before, after] of change) {
      if (!text.includes(before)) {
        throw new Error(`Cannot break the rule in ${file}: no such text: ${before}`);
      }
      text = text.replace(before, () => after);
    }
    await Deno.writeTextFile(path, text);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "tests/simulation/run.ts",
        "--no-shrink",
        "--from",
        `${from}`,
        "--seeds",
        `${seeds}`,
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    const output = new TextDecoder().decode(stdout);
    const found = /FAILED at seed (\d+), commit \w+: (.*)/.exec(output);
    if (found !== null) return { needed: Number(found[1]) - from + 1, why: found[2]! };
    if (/; 0 failed$/m.test(output)) return undefined;
    const error = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
    return { needed: Number.NaN, why: `the program broke: ${error}` };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function copy(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const source = new URL(`${from.pathname}/${name}`, from);
    if (isDirectory) await copy(source, `${to}/${name}`);
    else await Deno.copyFile(source, `${to}/${name}`);
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { seeds: { type: "string" }, from: { type: "string" } },
    allowPositionals: true,
  });
  const root = new URL("../../", import.meta.url);
  const names = positionals.length > 0 ? positionals : Object.keys(MUTATIONS);
  let survivors = 0;
  for (const name of names) {
    const mutation = MUTATIONS[name]!;
    const found = await seedsToFind(root, mutation, Number(values.seeds ?? 1000), Number(values.from ?? 1));
    if (found === undefined) survivors++;
    const verdict = found === undefined ? "NOT FOUND" : `seed ${found.needed}: ${found.why.slice(0, 160)}`;
    await Deno.stdout.write(new TextEncoder().encode(`${name} (${mutation.what}): ${verdict}\n`));
  }
  return survivors === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
