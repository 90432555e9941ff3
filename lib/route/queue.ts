/**
 * Whose turn it is among the sessions that wait: start-time fair queuing. Within a project the first to come is the first
 * to be seated; projects that wait take turns, however many sessions each of them has. Knows nothing of builders: `plan`
 * goes through the sessions in the order of these tags, and seats whoever can be. Pure but for its own state, which is
 * bounded by the number of sessions that wait.
 *
 * The tag of a session is one more than its predecessor's in its project, or than V when it came, if that is more. V is
 * the highest tag that was seated. A session that leaves without a seat leaves its place to the next of its project, which
 * has waited all the time: those behind it move up. Otherwise short connections, of which `earth` opens one a second while
 * it waits, would put their project ever further back.
 *
 * @see https://doi.org/10.1109/90.649569 Goyal, Vin, Cheng: Start-time fair queueing
 * @module
 */

interface Place {
  readonly id: number;
  /** V when the session came, or when one came before it that has left without a seat. */
  arrivedAt: number;
  readonly line: Line;
  tag: number;
}

/** The waiting sessions of one project. */
interface Line {
  readonly project: string | undefined;
  /** By id. Never empty. */
  readonly places: Place[];
  /** The last tag of the project that was seated since it has this line; 0 before the first. */
  seated: number;
}

/** The sessions that wait for a seat, in lines by project. Sessions without a project have one line together. */
export class FairQueue {
  readonly #lines = new Map<string | undefined, Line>();
  readonly #places = new Map<number, Place>();
  /** V. */
  #now = 0;

  /** How many sessions wait. */
  get size(): number {
    return this.#places.size;
  }

  /** How many projects these sessions have: more is not kept. */
  get projects(): number {
    return this.#lines.size;
  }

  /** The session waits from now on. Its place in its project's line is by its id, also when it had a seat and lost it. */
  add(id: number, project: string | undefined): void {
    if (this.#places.has(id)) return;
    const line = this.#lines.get(project) ?? { project, places: [], seated: 0 };
    this.#lines.set(project, line);
    const at = line.places.findLastIndex((other) => other.id < id) + 1;
    const place = { id, arrivedAt: line.places[at]?.arrivedAt ?? this.#now, line, tag: 0 };
    line.places.splice(at, 0, place);
    this.#places.set(id, place);
    renumber(line);
  }

  /** The session's project has become known: it leaves its line, until it is added to another. Harmless if it does not wait. */
  leaveLine(id: number): void {
    const place = this.#places.get(id);
    if (place !== undefined) this.#remove(place);
  }

  /** The session's tag: lower ones first, then lower ids. `undefined` if it does not wait. May fall until it is seated. */
  tag(id: number): number | undefined {
    return this.#places.get(id)?.tag;
  }

  /** The session has a seat: its project has had a turn. Harmless if it does not wait. */
  seated(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    const { line } = place;
    // Whoever it was: the project's first turn is used up.
    line.seated = line.places[0]!.tag;
    this.#now = Math.max(this.#now, line.seated);
    this.#remove(place);
  }

  /** The session waits no more. Harmless if it does not wait. */
  remove(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    const next = place.line.places[place.line.places.indexOf(place) + 1];
    if (next !== undefined) next.arrivedAt = place.arrivedAt;
    this.#remove(place);
  }

  #remove(place: Place): void {
    this.#places.delete(place.id);
    const { line } = place;
    line.places.splice(line.places.indexOf(place), 1);
    // The next session of the project starts from V, which no tag that was seated exceeds.
    if (line.places.length === 0) this.#lines.delete(line.project);
    else renumber(line);
  }
}

function renumber({ places, seated }: Line): void {
  let last = seated;
  for (const place of places) {
    last = Math.max(last, place.arrivedAt) + 1;
    place.tag = last;
  }
}
