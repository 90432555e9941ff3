/**
 * Faults of the API server: errors, lost and late requests, conflicts, and watches that end, lag or lose their history.
 *
 * @module
 */
import { sleep } from "../../lib/base/clock.ts";
import { STATEFULSETS } from "../../lib/miniature/objects.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import type { Fate } from "./api_path.ts";
import type { FaultClasses, Trouble } from "./fault_class.ts";
import type { ProxyProcess } from "./proxy_process.ts";

const S = 1_000;

const MERGE = "application/merge-patch+json";

/** What proxies watch. */
const WATCHED = ["statefulsets", "leases", "endpointslices"];

/** A fault of a part of all requests for a while; `hides` if the others may not hear of a proxy because of it. */
function requests(
  parts: readonly number[],
  hides: boolean,
  draw: (random: SeededRandom, proxy: ProxyProcess, method: string, path: string) => Fate | undefined,
) {
  return async ({ world, random, lasts, note }: Trouble) => {
    const part = random.pick(parts);
    const victim = random.chance(0.3) ? world.pick(random) : undefined;
    const method = random.chance(0.3) ? random.pick(["PUT", "PATCH", "GET", "POST"]) : undefined;
    const resource = random.chance(0.3) ? random.pick(["/leases", "/scale", ...WATCHED]) : "";
    const hide = () => victim === undefined ? world.impairAll() : world.impair(victim);
    const mend = hides ? hide() : () => {};
    note(`${part} of requests ${method ?? ""} ${resource} ${victim?.machine.name ?? ""}`);
    const fate = (proxy: ProxyProcess, verb: string, path: string) => {
      const hit = (victim === undefined || victim === proxy) && (method === undefined || method === verb) &&
        path.includes(resource) && random.chance(part);
      return hit ? draw(random, proxy, verb, path) : undefined;
    };
    world.weather.fates.add(fate);
    await lasts(1 * S, 25 * S);
    world.weather.fates.delete(fate);
    mend();
  };
}

/** The classes. */
export const API_FAULTS = {
  apiErrors: {
    chance: 0.3,
    everyMs: [0, 40 * S],
    once: requests([0.02, 0.1, 0.5], true, (random, proxy, method, path) => {
      const code = random.pick([500, 429, 403, 503, 409]);
      // Without the right to Leases from the start a proxy works alone: that has tests of its own.
      if (code === 403 && path.includes("/leases") && !(method === "PUT" && proxy.ready)) return undefined;
      if (code === 409 && (method === "GET" || method === "DELETE")) return undefined;
      return { kind: "status", code, ...(code === 429 ? { retryAfterSeconds: random.integer(0, 5) } : {}) };
    }),
  },
  lostAnswers: {
    chance: 0.35,
    everyMs: [0, 40 * S],
    once: requests([0.02, 0.1, 0.5], true, (random) => {
      const kind = random.pick(["lost", "late", "dropped", "unanswered"] as const);
      if (kind === "late") return { kind, byMs: random.integer(0, random.pick([500, 9 * S, 30 * S])) };
      return kind === "unanswered" ? { kind, silent: random.chance(0.5) } : { kind };
    }),
  },
  slowScaling: {
    chance: 0.35,
    everyMs: [0, 20 * S],
    once: requests([0.3, 1], false, (random, _proxy, method, path) => {
      if (method === "GET" || !path.endsWith("/scale")) return undefined;
      return { kind: "late", byMs: random.integer(0, random.pick([100, 1 * S, 5 * S, 30 * S])) };
    }),
  },
  conflicts: {
    chance: 0.25,
    everyMs: [1 * S, 40 * S],
    async once({ world, random, lasts, signal, note }) {
      const most = random.pick([100, 1_000, 5_000]);
      note(`every ${most} ms at most`);
      let over = false;
      const end = lasts(2 * S, 20 * S).then(() => over = true);
      for (let n = 0; !over && !signal.aborted; n++) {
        const patch = { metadata: { annotations: { touched: String(world.time.nowMs()) } } };
        const { registry } = world.cluster.api;
        const set = world.pickSet(random);
        if (set !== undefined) {
          const options = { manager: "kubectl" };
          world.byHand(() =>
            registry.patch(STATEFULSETS, world.cluster.namespace, set.name, MERGE, patch, options)
          );
        }
        registry.store.touch();
        await sleep(world.time, random.integer(5, most), signal).catch(() => {});
      }
      await end;
    },
  },
  compaction: {
    chance: 0.25,
    everyMs: [2 * S, 40 * S],
    once({ world, random }) {
      if (random.chance(0.7)) world.cluster.api.watches.drop();
      world.cluster.api.compact();
    },
  },
  watches: {
    chance: 0.3,
    everyMs: [1 * S, 30 * S],
    async once({ world, random, proxy, lasts, note }) {
      const { watches } = world.cluster.api;
      const how = random.pick(["end", "drop", "cut", "withhold", "bookmark"] as const);
      note(how);
      if (how === "bookmark") return watches.bookmark();
      if (how !== "withhold") return watches[how](random.chance(0.5) ? proxy()?.machine.name : undefined);
      const go = watches.withhold();
      await lasts(1 * S, random.pick([3 * S, 90 * S]));
      go();
    },
  },
  staleWatches: {
    chance: 0.4,
    everyMs: [1 * S, 15 * S],
    at: ["announce", "lowered", "join", "dial"],
    async once({ random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined) return;
      const resources = random.chance(0.3) ? WATCHED : [random.pick(WATCHED)];
      note(`${resources} at ${victim.machine.name}`);
      victim.path.staleWatches = resources;
      await lasts(20, random.pick([300, 1 * S, 3 * S, 20 * S, 70 * S]));
      victim.path.staleWatches = [];
    },
  },
} as const satisfies FaultClasses;
