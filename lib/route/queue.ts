/**
 * Whose turn it is among the sessions that wait. Projects take turns: first the first session of each project, then the
 * second of each, and so on; within a round, the project comes first whose last turn is longest ago. Within a project the
 * first to come is the first to be seated. Knows nothing of builders: `plan` goes through the sessions in this order, and
 * seats whoever can be. So seats for which a project does not compete do not change its place among those for which it
 * does. Pure but for its own state, which is bounded by the number of sessions that wait or dial.
 *
 * A project that did not wait has its first turn after all that wait already. A session that leaves without a seat leaves
 * its place to the next of its project. A seat counts as a turn from when it is given, and no longer if its dial fails.
 *
 * @see https://doi.org/10.1109/90.502236 Shreedhar, Varghese: Efficient fair queuing using deficit round-robin, with
 * sessions for packets of one size
 * @module
 */

/** The sessions of one project. */
interface Line {
  readonly project: string | undefined;
  /** Those that wait, by id. */
  readonly waiting: number[];
  /** Those that have a seat and no connection yet, and when each got it. */
  readonly dialling: Map<number, number>;
  /** When the project had its last turn that counts for good, or began to wait. */
  turn: number;
}

/** The sessions that wait for a seat, in lines by project. Sessions without a project have one line together. */
export class FairQueue {
  readonly #lines = new Map<string | undefined, Line>();
  readonly #lineOf = new Map<number, Line>();
  /** Counts turns, and projects that begin to wait. */
  #now = 0;
  #size = 0;

  /** How many sessions wait. */
  get size(): number {
    return this.#size;
  }

  /** How many projects have sessions that wait or dial: more is not kept. */
  get projects(): number {
    return this.#lines.size;
  }

  /**
   * The sessions that wait, in the order in which they are to be seated. One that `passes` takes no seat now: it leaves the
   * turn of its project to the next one.
   */
  inTurn(passes: (id: number) => boolean = () => false): readonly number[] {
    const order: number[] = [];
    let lines = [...this.#lines.values()]
      .sort((a, b) => lastTurn(a) - lastTurn(b))
      .map(({ waiting }) => waiting.values());
    while (lines.length > 0) {
      lines = lines.filter((line) => {
        for (;;) {
          const { done, value: id } = line.next();
          if (done) return false;
          order.push(id);
          if (!passes(id)) return true;
        }
      });
    }
    return order;
  }

  /**
   * The session waits from now on, newly or because its dial has failed. Its place in its project's line is by its id.
   * Harmless if it waits already.
   */
  add(id: number, project: string | undefined): void {
    const before = this.#lineOf.get(id);
    if (before !== undefined && !before.dialling.delete(id)) return;
    const line = before ?? this.#lines.get(project) ??
      { project, waiting: [], dialling: new Map(), turn: ++this.#now };
    this.#lines.set(line.project, line);
    this.#lineOf.set(id, line);
    line.waiting.splice(line.waiting.findLastIndex((other) => other < id) + 1, 0, id);
    this.#size++;
  }

  /** The session has a seat, and dials: its project has had a turn. Harmless if it does not wait. */
  seated(id: number): void {
    const line = this.#lineOf.get(id);
    if (line !== undefined && this.#takeOut(id, line)) line.dialling.set(id, ++this.#now);
  }

  /** The session has its connection: the turn counts for good. Harmless if it does not dial. */
  connected(id: number): void {
    const line = this.#lineOf.get(id);
    const turn = line?.dialling.get(id);
    if (line === undefined || turn === undefined) return;
    line.turn = Math.max(line.turn, turn);
    this.remove(id);
  }

  /** The session neither waits nor dials any more. Harmless if it does not. */
  remove(id: number): void {
    const line = this.#lineOf.get(id);
    if (line === undefined) return;
    this.#takeOut(id, line);
    line.dialling.delete(id);
    this.#lineOf.delete(id);
    if (line.waiting.length + line.dialling.size === 0) this.#lines.delete(line.project);
  }

  #takeOut(id: number, { waiting }: Line): boolean {
    const at = waiting.indexOf(id);
    if (at < 0) return false;
    waiting.splice(at, 1);
    this.#size--;
    return true;
  }
}

function lastTurn({ turn, dialling }: Line): number {
  return Math.max(turn, ...dialling.values());
}
