/**
 * Properties of `HpackDecoder`: it follows a model of the table through generated blocks, and whatever bytes it gets, it
 * throws nothing and keeps no more than its limit.
 *
 * @module
 */
import fc from "fast-check";
import assert from "node:assert/strict";
import { concat } from "../../lib/base/bytes.ts";
import { HpackDecoder } from "../../lib/proxy/hpack.ts";
import { type HeaderField, STATIC_TABLE } from "../../lib/proxy/hpack_static.ts";
import { hpackNumber, hpackText, indexed, resized, tableOf } from "../support/hpack.ts";

/** Inputs of each fuzz run; `FUZZ_INPUTS` asks for more. */
const FUZZ_INPUTS = Number(Deno.env.get("FUZZ_INPUTS") ?? 5_000);

/** One representation. `pick` chooses among what the table has when it is encoded. */
interface Choice {
  readonly kind: "indexed" | "remembered" | "forgotten" | "never";
  readonly pick: number;
  readonly isNameKnown: boolean;
  readonly name: string;
  readonly value: string;
}

const anyText = fc.string({ unit: "grapheme-ascii", maxLength: 300 });
const anyChoice: fc.Arbitrary<Choice> = fc.record({
  kind: fc.constantFrom("indexed", "remembered", "remembered", "forgotten", "never"),
  pick: fc.nat(),
  isNameKnown: fc.boolean(),
  name: anyText,
  value: anyText,
});
const anyBlock = fc.record({
  sizes: fc.array(fc.nat({ max: 4_096 }), { maxLength: 2 }),
  choices: fc.array(anyChoice, { maxLength: 12 }),
});

/** An encoder that chooses at random, and so says little with many bytes. */
class Model {
  /** Newest first. */
  table: HeaderField[] = [];
  #limitBytes = 4_096;

  encode({ sizes, choices }: { readonly sizes: readonly number[]; readonly choices: readonly Choice[] }) {
    const parts = sizes.map((size) => {
      this.#limitBytes = size;
      this.#evict();
      return resized(size);
    });
    const fields: HeaderField[] = [];
    for (const choice of choices) {
      const known = [...STATIC_TABLE, ...this.table];
      const number = 1 + choice.pick % known.length;
      if (choice.kind === "indexed") {
        parts.push(indexed(number));
        fields.push(known[number - 1]!);
        continue;
      }
      const [firstBits, prefixBits] =
        ({ remembered: [0x40, 6], forgotten: [0, 4], never: [0x10, 4] } as const)[
          choice.kind
        ];
      const name = choice.isNameKnown ? known[number - 1]!.name : choice.name;
      parts.push(hpackNumber(choice.isNameKnown ? number : 0, prefixBits, firstBits));
      if (!choice.isNameKnown) parts.push(hpackText(name));
      parts.push(hpackText(choice.value));
      const field = { name, value: choice.value };
      fields.push(field);
      if (choice.kind !== "remembered") continue;
      this.table.unshift(field);
      this.#evict();
    }
    return { block: concat(parts), fields };
  }

  #evict(): void {
    const sizeBytes = () =>
      this.table.reduce((sum, { name, value }) => sum + 32 + name.length + value.length, 0);
    while (sizeBytes() > this.#limitBytes) this.table.pop();
  }
}

Deno.test("HpackDecoder decodes whatever an encoder chooses, block after block, and has the same table", () => {
  fc.assert(
    fc.property(fc.array(anyBlock, { maxLength: 12 }), (blocks) => {
      const model = new Model();
      const decoder = new HpackDecoder();
      for (const choices of blocks) {
        const { block, fields } = model.encode(choices);
        assert.deepEqual(decoder.decode(block), fields);
      }
      assert.deepEqual(tableOf(decoder), model.table.map(({ name, value }) => `${name}: ${value}`));
    }),
    { numRuns: 500 },
  );
});

/** Entries of a table with their sizes never exceed the limit. */
function assertBounded(decoder: HpackDecoder): void {
  const sizeBytes = tableOf(decoder).reduce((sum, entry) => sum + entry.length - ": ".length + 32, 0);
  assert.ok(sizeBytes <= 4_096, `${sizeBytes} bytes`);
}

Deno.test(`HpackDecoder survives ${FUZZ_INPUTS} times any bytes: few fields, a bounded table`, () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder();
      for (const block of blocks) {
        assert.ok((decoder.decode(block)?.length ?? 0) <= block.byteLength);
      }
      assertBounded(decoder);
    }),
    { numRuns: FUZZ_INPUTS },
  );
});

const anyChange = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) });

Deno.test("HpackDecoder survives sound blocks with some bytes changed and the end cut off", () => {
  fc.assert(
    fc.property(
      fc.array(anyBlock, { minLength: 1, maxLength: 4 }),
      fc.array(anyChange, { maxLength: 4 }),
      fc.nat(),
      (blocks, changes, cut) => {
        const model = new Model();
        const decoder = new HpackDecoder();
        let hasFailed = false;
        for (const choices of blocks) {
          const { block } = model.encode(choices);
          for (const { at, value } of changes) if (block.byteLength > 0) block[at % block.byteLength] = value;
          const fields = decoder.decode(block.subarray(0, block.byteLength - cut % (block.byteLength + 1)));
          if (hasFailed) assert.equal(fields, undefined);
          hasFailed ||= fields === undefined;
          assert.ok((fields?.length ?? 0) <= block.byteLength);
        }
        assertBounded(decoder);
      },
    ),
    { numRuns: 1_000 },
  );
});
