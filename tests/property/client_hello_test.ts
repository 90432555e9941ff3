/**
 * Properties of `ClientHello`: it finds any name in any place, however the message is cut into records and the records
 * into reads, and whatever bytes it gets, it throws nothing.
 *
 * @module
 */
import fc from "fast-check";
import assert from "node:assert/strict";
import { ClientHello } from "../../lib/proxy/client_hello.ts";
import { extension, helloWith, realHello, records, serverNameExtension } from "../support/client_hello.ts";

/** Inputs of each fuzz run; `FUZZ_INPUTS` asks for more. */
const FUZZ_INPUTS = Number(Deno.env.get("FUZZ_INPUTS") ?? 5_000);

function read(pieces: readonly Uint8Array[]): ClientHello {
  const reader = new ClientHello();
  for (const piece of pieces) {
    const wasDone = reader.done;
    assert.equal(reader.take(piece), !wasDone && reader.done);
    if (wasDone) assert.equal(reader.done, true);
    if (!reader.done) assert.equal(reader.serverName, undefined);
  }
  return reader;
}

/** Different places within `length`, in order. */
function places(any: readonly number[], length: number): number[] {
  return [...new Set(any.map((n) => 1 + n % (length - 1)))].sort((a, b) => a - b);
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...places(cuts, bytes.byteLength), bytes.byteLength];
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

const anyOthers = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 0xffff }), fc.uint8Array({ maxLength: 200 }))
    .map(([type, body]) => extension(type, body)),
  { maxLength: 5 },
);
const anyCuts = fc.array(fc.nat(), { maxLength: 8 });

Deno.test("ClientHello finds any name, wherever it stands and however it is cut", () => {
  const anyName = fc.oneof(fc.domain(), fc.stringMatching(/^[!-~]{1,300}$/));
  fc.assert(
    fc.property(
      anyName,
      anyOthers,
      anyOthers,
      anyCuts,
      anyCuts,
      (name, before, after, inRecords, inReads) => {
        const hello = helloWith(...before, serverNameExtension(name), ...after);
        const pieces = cut(records(hello, ...places(inRecords, hello.byteLength)), inReads);
        const { done, serverName } = read(pieces);
        assert.deepEqual([done, serverName], [true, name]);
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test(`ClientHello survives ${FUZZ_INPUTS} times any bytes`, () => {
  const anyBytes = fc.uint8Array({ maxLength: 300 });
  const anyMessage = anyBytes.map((bytes) => records(helloWith(bytes)));
  fc.assert(
    fc.property(fc.oneof(anyBytes, anyMessage), anyCuts, (bytes, cuts) => {
      fc.pre(bytes.byteLength > 1);
      const whole = read([bytes]);
      const pieces = read(cut(bytes, cuts));
      assert.deepEqual([pieces.done, pieces.serverName], [whole.done, whole.serverName]);
    }),
    { numRuns: FUZZ_INPUTS },
  );
});

Deno.test("ClientHello survives a real one with some bytes changed and the end cut off", async () => {
  const hello = await realHello({ servername: "team-a.ci.svc", ALPNProtocols: ["h2"] });
  const anyChange = fc.tuple(fc.nat({ max: hello.byteLength - 1 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(
      fc.array(anyChange, { maxLength: 4 }),
      fc.integer({ min: 2, max: hello.byteLength }),
      anyCuts,
      (changes, length, cuts) => {
        const bytes = hello.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const { done, serverName } = read(cut(bytes.subarray(0, length), cuts));
        if (changes.length === 0) assert.equal(done, length === hello.byteLength);
        if (serverName !== undefined) assert.match(serverName, /^[!-~]+$/);
      },
    ),
    { numRuns: 2_000 },
  );
});
