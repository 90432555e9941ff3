/**
 * Timers of virtual time in the order in which they are due, of those that are due together in the order in which they were
 * added: a binary heap. Knows no clock. Pure.
 *
 * @module
 */

/** A timer. */
export interface HeapTimer {
  /** When it is due, in ms. */
  readonly dueMs: number;
  /** What it runs; set it to undefined to cancel the timer. */
  run: (() => void) | undefined;
}

interface Ordered extends HeapTimer {
  readonly order: number;
}

/** The timers to come. */
export class TimerHeap {
  /** The one that is due next is the first. */
  readonly #heap: Ordered[] = [];
  #order = 0;

  /** Adds one. */
  add(dueMs: number, run: () => void): HeapTimer {
    const timer = { dueMs, order: this.#order++, run };
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isSooner(timer, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = timer;
    return timer;
  }

  /** The one that is due next, a cancelled one too; undefined without one. */
  get next(): HeapTimer | undefined {
    return this.#heap[0];
  }

  /** Takes the next one out. There must be one. */
  take(): HeapTimer {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(timer: Ordered): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isSooner(heap[below + 1]!, heap[below]!)) below++;
      if (!isSooner(heap[below]!, timer)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = timer;
  }
}

function isSooner(a: Ordered, b: Ordered): boolean {
  return a.dueMs < b.dueMs || a.dueMs === b.dueMs && a.order < b.order;
}
