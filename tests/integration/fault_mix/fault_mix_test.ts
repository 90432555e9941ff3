/**
 * The fault mix, for 20 seconds from a seed of its own. `FAULT_MIX_SECONDS` and `FAULT_MIX_SEED` say otherwise:
 *
 *     FAULT_MIX_SECONDS=3600 deno test --allow-all tests/integration/fault_mix/
 *
 * @module
 */
import { runFaultMix } from "./mix.ts";

const seconds = Number(Deno.env.get("FAULT_MIX_SECONDS") || 20);
if (!(seconds > 0)) throw new Error("Cannot parse FAULT_MIX_SECONDS: want a number of seconds");
const seed = Number(Deno.env.get("FAULT_MIX_SEED") || Math.floor(Math.random() * 2 ** 32));

Deno.test(`fault mix: no session is lost, and everything settles (seed ${seed}, ${seconds}s)`, async () => {
  try {
    const report = await runFaultMix({ seed, durationMs: seconds * 1000 });
    Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(report, undefined, 2)}\n`));
  } catch (error) {
    if (error instanceof Error) error.message = `FAULT_MIX_SEED=${seed}: ${error.message}`;
    throw error;
  }
});
