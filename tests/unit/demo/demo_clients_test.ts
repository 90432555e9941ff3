/**
 * The clients of the demo.
 *
 * @module
 */
import assert from "node:assert/strict";
import { echoClients } from "../../../lib/demo/demo_clients.ts";
import { denoNetwork as network } from "../../../lib/proxy/deno_network.ts";

Deno.test("echoClients() are served once their bytes are back, and end when the connection has ended", async () => {
  const listener = network.listen({ hostname: "127.0.0.1", port: 0 });
  const steps: string[] = [];
  const served = Promise.withResolvers<void>();
  const serving = (async () => {
    const conn = await listener.accept();
    const buffer = new Uint8Array(64 * 1024);
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      for (let rest = buffer.slice(0, n); rest.length > 0;) rest = rest.subarray(await conn.write(rest));
    }
    await served.promise;
    steps.push("the server ends");
    conn.close();
  })();
  const signal = new AbortController().signal;
  const { text } = await echoClients(network).run(1, listener.addr, signal, () => {
    steps.push("served");
    served.resolve();
  });
  await serving;
  assert.deepEqual(steps, ["served", "the server ends"]);
  assert.equal(text, "256 KiB came back unchanged");
  listener.close();
});
