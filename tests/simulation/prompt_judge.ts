/**
 * Whether clients that wait are served as soon as the facts allow: finds a client that waits for long beside a pod that
 * could take it, or while nobody asks for any of the builders that it may use. It looks at the cluster and the connections,
 * not at what the program says, and leaves out what a proxy need not know. Times in true ms.
 *
 * @module
 */
import { choiceOf, type ClientChoice } from "./client_choice.ts";
import type { Progress } from "./clients.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import type { Usable } from "./usable_pods.ts";

/**
 * Nobody waits for longer than this beside room, in ms: in it are the words of the client (5 s at most), the look whether a
 * pod is all right after a restart (5 s), what one proxy leaves to another (2 s), and the way to the API.
 */
export const PROMPT_MS = 15_000;

/** A builder as it is. */
export interface BuilderNow {
  readonly name: string;
  /** It is there, and can be read. */
  readonly isThere: boolean;
  /** The count that is wanted of it. */
  readonly replicas: number;
  /** The sessions that are certainly load, by ordinal. */
  readonly leastLoads: ReadonlyMap<number, number>;
}

/** Whether a builder may have a seat below `most` sessions on a pod, with as many pods as this. */
export function mayHaveRoom({ leastLoads }: BuilderNow, most: number, maxReplicas: number): boolean {
  for (let ordinal = 0; ordinal < maxReplicas; ordinal++) {
    if ((leastLoads.get(ordinal) ?? 0) < most) return true;
  }
  return false;
}

/** A pod that can take sessions. */
export interface PodNow extends Usable {
  /** Connections that may be load. */
  readonly mostLoad: number;
}

/** The cluster as it is. */
export interface Now {
  readonly builders: ReadonlyMap<string, BuilderNow>;
  readonly pods: readonly PodNow[];
}

/** A client that has no seat yet. */
export interface WaitingClient {
  readonly progress: Progress;
  readonly proxy: ProxyProcess;
  readonly choice: ClientChoice;
  readonly startedMs: number;
  /** Since when each pod has had room for it, by uid. */
  readonly roomSinceMs: Map<string, number>;
  /** Since when nobody has asked for a pod that it may use. */
  unaskedSinceMs: number | undefined;
}

/** The pods that should take the client now. `late`: it has waited for so long that it takes any that runs. */
export function podsFor(
  { may, isPatient, maxReplicas, target, limit }: ClientChoice,
  { builders, pods }: Now,
  late: boolean,
): readonly PodNow[] {
  const there = may.flatMap((name) => builders.get(name) ?? []).filter(({ isThere }) => isThere);
  const below = (most: number, names: readonly string[]) =>
    pods.filter(({ set, ordinal, mostLoad }) =>
      names.includes(set) && ordinal < Math.min(maxReplicas, builders.get(set)!.replicas) && mostLoad < most
    );
  const names = there.map(({ name }) => name);
  const first = there.find((builder) => mayHaveRoom(builder, target, maxReplicas));
  if (late || first === undefined) return below(limit, names);
  return below(target, isPatient ? [first.name] : names);
}

/** Those who wait, and for how long they had not to. */
export class PromptJudge {
  readonly #waiting = new Map<number, WaitingClient>();
  /** When a client was last seated on a pod, or was seen to have left it, by uid. */
  readonly #changedMs = new Map<string, number>();
  /** The load of each pod at the last look, by uid. */
  readonly #loads = new Map<string, number>();

  /** Those who wait, the first to come first. */
  get waiting(): Iterable<WaitingClient> {
    return this.#waiting.values();
  }

  /** Whether anybody waits. */
  get isNeeded(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whether this client has no seat yet, and waits for it. */
  waits({ progress }: WaitingClient): boolean {
    return this.#waiting.has(progress.plan.id);
  }

  /** A client begins to wait. */
  begins(progress: Progress, proxy: ProxyProcess, startedMs: number): void {
    const { watches, isProbe, id } = progress.plan;
    const choice = choiceOf(progress.plan, proxy);
    if (choice === undefined || watches !== undefined || isProbe) return;
    const own = { progress, proxy, choice, startedMs, roomSinceMs: new Map(), unaskedSinceMs: undefined };
    this.#waiting.set(id, own);
  }

  /** A client waits no more. Returns how it waited. */
  ends(id: number): WaitingClient | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** A client has its seat on this pod. */
  seated(uid: string, nowMs: number): void {
    this.#changedMs.set(uid, nowMs);
  }

  /** Nothing that was seen so far counts. */
  forget(): void {
    for (const client of this.#waiting.values()) {
      client.roomSinceMs.clear();
      client.unaskedSinceMs = undefined;
    }
  }

  /** Whom somebody has let wait for too long. To be asked often. */
  look(now: Now, nowMs: number): string | undefined {
    this.#seeLoads(now, nowMs);
    for (const client of this.#waiting.values()) {
      const { progress: { plan }, proxy, startedMs } = client;
      if (proxy.ended || proxy.machine.stopped) {
        client.roomSinceMs.clear();
        client.unaskedSinceMs = undefined;
        continue;
      }
      const where = `Client ${plan.id} at ${proxy.machine.name}`;
      const since = (ms: number, set: string) => nowMs - Math.max(ms, startedMs, readyMsOf(proxy, set));
      if (plan.wakesForSeconds === undefined) {
        const pod = this.#longRoom(client, now, nowMs, since);
        if (pod !== undefined) return `${where} waits, and ${pod} has had room for it all the time`;
      }
      if (this.#isUnasked(client, now)) client.unaskedSinceMs ??= nowMs;
      else client.unaskedSinceMs = undefined;
      const { unaskedSinceMs = Infinity, choice: { may } } = client;
      if (may.length > 0 && may.every((set) => since(unaskedSinceMs, set) >= PROMPT_MS)) {
        return `${where} waits, and nobody asks for a builder that it may use: ${may}`;
      }
    }
    return undefined;
  }

  /** A pod that could have taken a client that has just been refused. */
  roomFor(client: WaitingClient, now: Now, nowMs: number): string | undefined {
    this.#seeLoads(now, nowMs);
    return podsFor(client.choice, now, false).find(({ sinceMs, uid, set }) =>
      nowMs - Math.max(sinceMs, this.#changedMs.get(uid) ?? -Infinity, readyMsOf(client.proxy, set)) >=
        PROMPT_MS
    )?.name;
  }

  /** Somebody who has left has made room a moment ago: other proxies may not know of it. */
  #seeLoads({ pods }: Now, nowMs: number): void {
    for (const { uid, mostLoad } of pods) {
      if (mostLoad < (this.#loads.get(uid) ?? 0)) this.#changedMs.set(uid, nowMs);
      this.#loads.set(uid, mostLoad);
    }
  }

  #longRoom(
    client: WaitingClient,
    now: Now,
    nowMs: number,
    since: (ms: number, set: string) => number,
  ): string | undefined {
    const { roomSinceMs, startedMs, choice } = client;
    // In the queue nobody is late.
    const late = choice.limit === Infinity &&
      nowMs - startedMs > choice.pool.readyWaitTimeoutMs / 2 + PROMPT_MS;
    const pods = podsFor(choice, now, late);
    for (const uid of roomSinceMs.keys()) if (pods.every((pod) => pod.uid !== uid)) roomSinceMs.delete(uid);
    for (const { uid } of pods) if (!roomSinceMs.has(uid)) roomSinceMs.set(uid, nowMs);
    return pods.find(({ uid, sinceMs, set }) =>
      since(Math.max(roomSinceMs.get(uid)!, sinceMs, this.#changedMs.get(uid) ?? -Infinity), set) >= PROMPT_MS
    )?.name;
  }

  #isUnasked({ choice: { may }, proxy }: WaitingClient, { builders }: Now): boolean {
    if (proxy.settings.observe) return false;
    const usable = may.flatMap((name) => builders.get(name) ?? []);
    return usable.length > 0 && usable.every(({ isThere, replicas }) => isThere && replicas === 0);
  }
}

/** Since when a proxy may serve by this builder, true ms: one that only observes waits for long before it does. */
function readyMsOf({ memberships }: ProxyProcess, set: string): number {
  return memberships.get(set)?.readyMs ?? Infinity;
}
