/**
 * The program as a process in front of clients with certificates of many authorities, in a flood of others that never
 * finish their handshake: memory is bounded, and a client is let in.
 *
 * @module
 */
import assert from "node:assert/strict";
import net from "node:net";
import { MOST_ARRIVALS } from "../../../lib/entrance/arrivals.ts";
import { ChildProgram } from "../../support/child_program.ts";
import { realHello } from "../../support/client_hello.ts";
import { pause } from "../../support/deadline.ts";
import { World } from "../../support/program.ts";
import { makeCa } from "../kube/certificates.ts";
import { ca, ci, receive, send, server } from "./stage.ts";

const AUTHORITIES = 140;
const MEMORY_BAR_BYTES = 128e6;

/** Each connects from one of 1,000 addresses. */
function connectFrom(port: number, n: number): net.Socket {
  const localAddress = `127.1.${(n % 1_000) >> 8}.${n & 255}`;
  const socket = net.connect({ host: "127.0.0.1", port, localAddress });
  socket.on("error", () => {});
  return socket;
}

const FLOODS = [["say nothing", 1_400], ["send a ClientHello", 1_400]] as const;

for (const [what, count] of FLOODS) {
  Deno.test(`process: ${count} clients with TLS that ${what} take 128 MB at most, and others are served`, async () => {
    const hello = await realHello({ servername: "localhost", ALPNProtocols: ["h2"] });
    const others = await Promise.all(
      Array.from({ length: AUTHORITIES - 1 }, (_, i) => makeCa({ commonName: `${i}` })),
    );
    await using world = new World({ cluster: { replicas: 1 } });
    const folder = await Deno.makeTempDir();
    const sockets: net.Socket[] = [];
    try {
      await Deno.writeTextFile(`${folder}/tls.crt`, server.cert);
      await Deno.writeTextFile(`${folder}/tls.key`, server.key);
      await Deno.writeTextFile(`${folder}/ca.crt`, [ca, ...others].map(({ cert }) => cert).join("\n"));
      await using program = await ChildProgram.start(world, {
        token: "token",
        args: [
          "--tls-listen-addr=127.0.0.1:0",
          `--tls-cert=${folder}/tls.crt`,
          `--tls-key=${folder}/tls.key`,
          `--tls-client-ca=${folder}/ca.crt`,
        ],
      });
      await program.logged("ready");
      const port = Number(String(program.of("listening")[0]!["tlsAddr"]).split(":").at(-1));
      const beforeBytes = await program.metric("process_resident_memory_bytes");
      const endedBytes = [];
      for (let n = 0; n < count; n++) {
        const socket = connectFrom(port, n);
        sockets.push(socket);
        if (what === "send a ClientHello") socket.write(hello);
        if (n % 100 === 99) {
          await pause(20);
          endedBytes.push(await program.metric("process_resident_memory_bytes"));
        }
      }
      const name = 'buildkitd_autoscaler_entrance_failures_total{cause="crowded_out"}';
      while (await program.metric(name.replace(/[{}]/g, "\\$&")) < count - MOST_ARRIVALS) await pause(20);
      const client = await Deno.connectTls({
        hostname: "localhost",
        port,
        caCerts: [ca.cert],
        alpnProtocols: ["h2"],
        ...ci,
      });
      await send(client, "hello");
      assert.equal(await receive(client), "hello");
      client.close();
      const grownBytes = Math.max(...endedBytes, await program.metric("process_resident_memory_bytes")) -
        beforeBytes;
      assert.ok(grownBytes < MEMORY_BAR_BYTES, `memory has grown by ${grownBytes} bytes`);
    } finally {
      for (const socket of sockets) socket.destroy();
      await Deno.remove(folder, { recursive: true });
    }
  });
}
