/**
 * Rounds of a random mix of accidents, with real builds through several proxies:
 *
 *     E2E_ROUNDS=300 E2E_SEED=1 deno run -A tests/e2e/run.ts tests/e2e/random_mix_test.ts
 *
 * @module
 */

import assert from "node:assert/strict";
import { seededRandom } from "../support/seeded_random.ts";
import { RandomMix } from "./random_mix.ts";
import { scenario } from "./scenario.ts";

function numberFrom(variable: string, otherwise: number): number {
  const number = Number(Deno.env.get(variable) || otherwise);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new Error(`Cannot parse ${variable}: found "${Deno.env.get(variable)}", want a whole number`);
  }
  return number;
}

const ROUNDS = numberFrom("E2E_ROUNDS", 30);
const SEED = numberFrom("E2E_SEED", Math.floor(Math.random() * 2 ** 32));

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

scenario(`no build fails in ${ROUNDS} rounds of a random mix of accidents`, {}, async (cluster) => {
  say(`\nE2E_SEED=${SEED}`);
  const mix = new RandomMix(cluster, seededRandom(SEED));
  try {
    for (let number = 1; number <= ROUNDS; number++) await mix.round(number);
    const { finished, lost } = await mix.settle();
    say(
      `${finished} builds ended well, ${lost} were lost with their own proxy; replicas ${
        cluster.timeline.counts.join(" ")
      }`,
    );
    assert.ok(finished >= ROUNDS / 5, "a run without builds shows nothing");
  } catch (error) {
    if (error instanceof Error) error.message = `E2E_SEED=${SEED}: ${error.message}`;
    throw error;
  } finally {
    mix.story.forEach(say);
  }
});
