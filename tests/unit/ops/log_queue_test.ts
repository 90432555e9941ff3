/**
 * The log's way to a stream that is slow, full or gone.
 *
 * @module
 */
import assert from "node:assert/strict";
import { LogQueue } from "../../../lib/ops/log_queue.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

/** A stream whose writes wait until the test lets them through. */
class SlowWriter {
  written = "";
  #let: (() => void) | undefined;
  open = false;

  async write(bytes: Uint8Array): Promise<number> {
    if (!this.open) await new Promise<void>((resolve) => (this.#let = resolve));
    // A few bytes at a time, as a full pipe takes them.
    const taken = this.open ? bytes : bytes.subarray(0, 3);
    this.written += new TextDecoder().decode(taken);
    return taken.length;
  }

  release(): void {
    this.open = true;
    this.#let?.();
  }
}

const lost = (count: number) => `lost ${count}\n`;

Deno.test("LogQueue writes lines in order, also when the stream takes them in pieces", async () => {
  const writer = new SlowWriter();
  const queue = new LogQueue(writer, new VirtualClock(), lost);
  queue.push("one\n");
  queue.push("two\n");
  await settle();
  queue.push("three\n");
  writer.release();
  await queue.flush(1000);
  assert.equal(writer.written, "one\ntwo\nthree\n");
});

Deno.test("LogQueue puts the lines of one turn into one write", async () => {
  const writes: string[] = [];
  const writer = {
    write(bytes: Uint8Array): Promise<number> {
      writes.push(new TextDecoder().decode(bytes));
      return Promise.resolve(bytes.length);
    },
  };
  const queue = new LogQueue(writer, new VirtualClock(), lost);
  queue.push("one\n");
  queue.push("two\n");
  await queue.flush(1000);
  assert.deepEqual(writes, ["one\ntwo\n"]);
});

Deno.test("LogQueue writes a line to its last byte, however few of them the stream takes at a time", async () => {
  for (let taken = 1; taken <= 5; taken++) {
    let written = "";
    const writer = {
      write(bytes: Uint8Array): Promise<number> {
        const part = bytes.subarray(0, taken);
        written += new TextDecoder().decode(part);
        return Promise.resolve(part.length);
      },
    };
    const queue = new LogQueue(writer, new VirtualClock(), lost);
    queue.push("one\n");
    queue.push("\n");
    await queue.flush(1000);
    assert.equal(written, "one\n\n");
  }
});

Deno.test("LogQueue.flush() leaves no timer, and does not wait when there is nothing to write", async () => {
  const clock = new VirtualClock();
  const queue = new LogQueue(new SlowWriter(), clock, lost);
  await queue.flush(1000);
  assert.equal(clock.pending, 0);
});

for (const code of ["EPIPE", "EBADF"]) {
  Deno.test(`LogQueue goes quiet for ${code} as well, and for a stream that is closed`, async () => {
    for (const error of [Object.assign(new Error("x"), { code }), new Deno.errors.BadResource()]) {
      let writes = 0;
      const writer = { write: () => (writes++, Promise.reject(error)) };
      const queue = new LogQueue(writer, new VirtualClock(), lost);
      for (let i = 0; i < 2; i++) {
        queue.push("x\n");
        queue.push("y\n");
        await queue.flush(1000);
      }
      assert.equal(writes, 1);
    }
  });
}

Deno.test("LogQueue tries a full stream again every 20 ms, and drops nothing meanwhile", async () => {
  const clock = new VirtualClock();
  let tries = 0;
  let written = "";
  const writer = {
    write(bytes: Uint8Array): Promise<number> {
      if (++tries < 4) return Promise.reject(Object.assign(new Error("full"), { code: "EAGAIN" }));
      written += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  const queue = new LogQueue(writer, clock, lost);
  queue.push("x\n");
  await clock.advance(59);
  assert.deepEqual([tries, written], [3, ""]);
  await clock.advance(1);
  assert.deepEqual([tries, written], [4, "x\n"]);
});

Deno.test("LogQueue bounds what waits, and says how much was lost", async () => {
  const writer = new SlowWriter();
  const queue = new LogQueue(writer, new VirtualClock(), lost);
  const line = `${"x".repeat(1023)}\n`;
  queue.push("first\n");
  await settle();
  for (let i = 0; i < 3000; i++) queue.push(line);
  writer.release();
  await queue.flush(1000);
  const lines = writer.written.trimEnd().split("\n");
  assert.equal(lines.length, 1 + 1024 + 1);
  assert.equal(lines.at(-1), `lost ${3000 - 1024}`);
  queue.push("after\n");
  await queue.flush(1000);
  assert.match(writer.written, /\nafter\n$/);
});

Deno.test("LogQueue.flush() does not wait for a reader that reads no more", async () => {
  const clock = new VirtualClock();
  const writer = new SlowWriter();
  const queue = new LogQueue(writer, clock, lost);
  queue.push("one\n");
  let flushed = false;
  const flushing = queue.flush(1000).then(() => (flushed = true));
  await clock.advance(999);
  assert.equal(flushed, false);
  await clock.advance(1);
  assert.equal(flushed, true);
  writer.release();
  await flushing;
});

Deno.test("LogQueue stops writing when its reader is gone", async () => {
  let writes = 0;
  const writer = {
    write(): Promise<number> {
      writes += 1;
      return Promise.reject(new Deno.errors.BrokenPipe());
    },
  };
  const queue = new LogQueue(writer, new VirtualClock(), lost);
  for (let i = 0; i < 3; i++) {
    queue.push("x\n");
    await queue.flush(1000);
  }
  assert.equal(writes, 1);
});

Deno.test("LogQueue tries again when a non-blocking stream is full", async () => {
  const clock = new VirtualClock();
  let full = true;
  let written = "";
  const writer = {
    write(bytes: Uint8Array): Promise<number> {
      if (full) return Promise.reject(Object.assign(new Error("full"), { code: "EAGAIN" }));
      written += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  const queue = new LogQueue(writer, clock, lost);
  queue.push("x\n");
  await clock.advance(50);
  full = false;
  await clock.advance(50);
  assert.equal(written, "x\n");
  assert.equal(clock.pending, 0);
});

/** A disk with so many bytes of room, to begin with. */
class Disk {
  written = "";
  room: number;

  constructor(room: number) {
    this.room = room;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.room === 0) {
      return Promise.reject(Object.assign(new Error("No space left on device"), { code: "ENOSPC" }));
    }
    const taken = bytes.subarray(0, this.room);
    this.room -= taken.length;
    this.written += new TextDecoder().decode(taken);
    return Promise.resolve(taken.length);
  }
}

Deno.test("LogQueue goes on when a full disk has room again, and says what was lost and why", async () => {
  const disk = new Disk("first\nsec".length);
  const queue = new LogQueue(disk, new VirtualClock(), (count, cause) => `lost ${count}: ${cause}\n`);
  const write = async (...lines: string[]) => {
    for (const line of lines) queue.push(`${line}\n`);
    await queue.flush(1000);
  };
  await write("first", "second", "third");
  await write("fourth");
  await write("fifth", "sixth");
  disk.room = 1000;
  await write("seventh");
  await write("eighth");
  assert.equal(disk.written, "first\nsec\nseventh\nlost 5: No space left on device\neighth\n");
});

Deno.test("LogQueue: a lost notice of lost records is counted in the next notice", async () => {
  const disk = new Disk(0);
  const queue = new LogQueue(disk, new VirtualClock(), (count) => `lost ${count}\n`);
  const write = async (line: string) => {
    queue.push(`${line}\n`);
    await queue.flush(1000);
  };
  await write("first");
  disk.room = "second\n".length;
  await write("second");
  disk.room = 1000;
  await write("third");
  assert.equal(disk.written, "second\nthird\nlost 1\n");
});
