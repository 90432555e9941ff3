/**
 * How long honest clients wait beside very many connections that are reset before the program accepts them, as port
 * scanners and the checks of some load balancers do: connect and echo through the program, 50 times a second.
 *
 *     deno run -A tests/bench/resets.ts [RESETS_A_SECOND [SECONDS]]
 *
 * Exits with 1 when the bar does not hold. Needs Linux and Go.
 *
 * @module
 */
import { buildPeers } from "./peers.ts";
import { output } from "./processes.ts";
import { say } from "./say.ts";
import { Stage } from "./stage.ts";

const RATE = Number(Deno.args[0] ?? 1_000);
const SECONDS = Number(Deno.args[1] ?? 10);
/** For the 99th percentile. */
const BAR_MS = 100;

async function measure(folder: string): Promise<number> {
  const { backend, load } = await buildPeers();
  await using stage = await Stage.open(folder, backend);
  const { address, process } = await stage.startProgram();
  await using _program = process;
  const figures = await output(load, ["resets", address, `${SECONDS}`, `${RATE}`]);
  const [sent = 0, honest, failed, median, percentile = 0, worst] = figures.split(" ").map(Number);
  const holds = failed === 0 && percentile <= BAR_MS && sent >= RATE * SECONDS * 0.9;
  say(
    `${sent} resets in ${SECONDS} s; ${honest} honest connections, ${failed} of them failed: median ${median} ms, ` +
      `99th percentile ${percentile} ms, worst ${worst} ms; bar ${BAR_MS} ms: ${
        holds ? "holds" : "DOES NOT HOLD"
      }`,
  );
  return holds ? 0 : 1;
}

const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
let code: number;
try {
  code = await measure(folder);
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);
