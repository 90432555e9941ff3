/**
 * Whoever waits gets their turn: the whole router, over pools of every kind with a hard limit, in front of clients that
 * come, end, leave, and fail to connect.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rank } from "../../lib/route/rank.ts";
import { builds, PoolWorld, type TestSession } from "../support/pool_world.ts";

const NAMES = ["b1", "b2", "b3"];

const pool = fc.record({
  builders: fc.integer({ min: 1, max: 3 }),
  placement: fc.constantFrom("affinity", "packed", "least-sessions", "round-robin"),
  overflow: fc.constantFrom("full", "never"),
  maxReplicas: fc.integer({ min: 1, max: 2 }),
  sessionsPerReplica: fc.integer({ min: 1, max: 2 }),
  maxSessionsPerReplica: fc.integer({ min: 2, max: 3 }),
}, { noNullPrototype: true });
type PoolKind = typeof pool extends fc.Arbitrary<infer T> ? T : never;

/** What happens; numbers choose among those that there are. */
const events = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        comes: fc.constantFrom("p", "q", "r", "s", "t", "localhost"),
        times: fc.integer({ min: 1, max: 4 }),
        isPatient: fc.boolean(),
        /** So many of its dials fail. */
        fails: fc.constantFrom(0, 0, 1, 2),
      }),
    },
    { weight: 5, arbitrary: fc.record({ ends: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ leaves: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ stuck: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ mended: fc.nat(2) }) },
  ),
  { minLength: 20, maxLength: 80 },
);
type Event = typeof events extends fc.Arbitrary<(infer T)[]> ? T : never;

interface Client {
  readonly project: string;
  readonly session: TestSession;
  fails: number;
}

/** A pool, its clients, and how often the others were seated since each project had its last turn. */
class Turns {
  readonly world: PoolWorld;
  readonly #kind: PoolKind;
  readonly #names: readonly string[];
  readonly #waiting = new Set<Client>();
  readonly #running = new Set<Client>();
  readonly #seated: Client[] = [];
  readonly #passed = new Map<string, Map<string, number>>();

  constructor(kind: PoolKind) {
    const { placement, overflow, maxReplicas, sessionsPerReplica, maxSessionsPerReplica } = kind;
    this.#kind = kind;
    const names = this.#names = NAMES.slice(0, kind.builders);
    this.world = new PoolWorld({
      builders: names,
      policy: { placement, overflow },
      capacity: { maxReplicas, sessionsPerReplica, maxSessionsPerReplica },
    });
    for (const builder of this.world.builders) builder.run(maxReplicas);
  }

  async happens(event: Event): Promise<void> {
    if ("comes" in event) {
      const { comes, times, isPatient, fails } = event;
      for (let i = 0; i < times; i++) this.#come(comes, isPatient, fails);
    } else if ("ends" in event) {
      const running = [...this.#running];
      const client = running[event.ends % running.length];
      if (client !== undefined) this.#end(client);
    } else if ("leaves" in event) {
      const waiting = [...this.#waiting];
      const client = waiting[event.leaves % waiting.length];
      if (client !== undefined) this.#end(client);
    } else {
      const [at, state] = "stuck" in event ? [event.stuck, "stuck" as const] : [event.mended, undefined];
      this.world.builders[at]?.change({ state });
    }
    do {
      await this.world.pass(0);
    } while (this.#connect());
  }

  async end(): Promise<void> {
    for (const { session } of [...this.#waiting, ...this.#running]) await this.world.end(session);
    this.world.assertEmpty();
  }

  #come(project: string, isPatient: boolean, fails: number): void {
    const client: Client = { project, session: this.world.open(), fails };
    this.#waiting.add(client);
    this.#wait(client);
    this.world.router.identify(client.session.id, builds(project, { isPatient }));
  }

  #wait(client: Client): void {
    const { id, leave } = client.session;
    this.world.router.wait(id, leave.signal).then((seat) => {
      client.session.seat = seat;
      this.#seated.push(client);
    }, () => {});
  }

  #end(client: Client): void {
    this.#running.delete(client);
    this.#waiting.delete(client);
    client.session.leave.abort(new Error("The client has left"));
    this.world.router.end(client.session.id);
    this.#forget(client.project);
  }

  /** Those that have a seat connect to it, or fail to. True if some failed. */
  #connect(): boolean {
    const failed: Client[] = [];
    /** Of projects whose dials have failed since their last turn: who had passed them before. */
    const before = new Map<string, ReadonlyMap<string, number>>();
    for (const client of this.#seated.splice(0)) {
      const { project } = client;
      this.#waiting.delete(client);
      const passed = this.#passed.get(project) ?? new Map();
      this.#passed.delete(project);
      if (client.fails > 0) {
        client.fails--;
        failed.push(client);
        if (!before.has(project)) before.set(project, passed);
        continue;
      }
      before.delete(project);
      this.world.connect(client.session);
      this.#running.add(client);
      this.#pass(project);
    }
    for (const [project, passed] of before) this.#passed.set(project, new Map(passed));
    for (const client of failed) {
      this.#waiting.add(client);
      this.world.router.holdAgain(client.session.id);
      this.#wait(client);
    }
    return failed.length > 0;
  }

  /** A project was seated. */
  #pass(project: string): void {
    for (const other of new Set([...this.#waiting].map((client) => client.project))) {
      if (other === project || this.#seatsOf(other) !== this.#seatsOf(project)) continue;
      const passed = this.#passed.get(other) ?? new Map<string, number>();
      this.#passed.set(other, passed);
      const times = (passed.get(project) ?? 0) + 1;
      assert.ok(times < 2, `"${project}" was seated twice while "${other}" waited for the same seats`);
      passed.set(project, times);
    }
  }

  #forget(project: string): void {
    if (![...this.#waiting].some((client) => client.project === project)) this.#passed.delete(project);
  }

  /** Projects of which this is the same wait for the same seats. */
  #seatsOf(project: string): string {
    const { overflow, placement } = this.#kind;
    if (overflow === "full" || placement !== "affinity") return "any";
    return rank(this.#names, project === "localhost" ? undefined : project)[0]!;
  }
}

Deno.test("Router seats no project twice while another waits for the same seats and gets none", async () => {
  await fc.assert(
    fc.asyncProperty(pool, events, async (pool, events) => {
      const turns = new Turns(pool);
      for (const event of events) await turns.happens(event);
      await turns.end();
    }),
    { numRuns: 400 },
  );
});
