/**
 * What comes out of TLS on a stream, where the stream does not call back.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { ConnStream, DecryptedConn } from "../../../lib/base/conn_stream.ts";
import { within } from "../../support/deadline.ts";
import { MemoryConn } from "../../support/memory_network.ts";

/** A stream that takes bytes and never says so, as the runtime's TLS does when its connection is gone. */
function silentTls(): { tls: Duplex; conn: DecryptedConn } {
  const tls = new Duplex({ read() {}, write() {} });
  const [one] = MemoryConn.pair();
  return { tls, conn: new DecryptedConn(tls, new ConnStream(one), one) };
}

for (const what of ["write", "closeWrite"] as const) {
  const start = (conn: DecryptedConn) => what === "write" ? conn.write(new Uint8Array(1)) : conn.closeWrite();

  Deno.test(`DecryptedConn.${what}() that waits ends when the stream is gone`, async () => {
    const { tls, conn } = silentTls();
    const full = conn.write(new Uint8Array(1));
    const waiting = start(conn);
    tls.destroy();
    await within(assert.rejects(full), "the end of the write before it");
    await within(assert.rejects(waiting), `the end of ${what}()`);
  });

  Deno.test(`DecryptedConn.${what}() fails when the stream is gone already`, async () => {
    const { tls, conn } = silentTls();
    tls.destroy();
    await new Promise((resolve) => tls.once("close", resolve));
    await within(assert.rejects(start(conn), /The connection was closed/), `the end of ${what}()`);
  });
}
