/**
 * A proxy that drains for longer than its token lives: the kubelet renews no token of a pod that terminates, so the test
 * signs short ones with the API server's key.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scenario } from "./scenario.ts";
import {
  EXPIRY_MS,
  leads,
  leases,
  longWhile,
  records,
  SHORT_TIMES,
  startProxies,
} from "./several_proxies.ts";
import { delay, until, within } from "./waiting.ts";

/**
 * The API server accepts a token for a minute longer than the token says, and remembers for 10 s that it did. So this one
 * is refused 30 to 40 s later: the program reads it before that, within 10 s.
 */
const TOKEN_MS = -30_000;

/** `drain-timeout`: longer than everything that happens during the build. */
const DRAIN_S = 90;

scenario(
  "a proxy drains with a build, and its token ends: the build is not cut by the next leader, and the pod goes later",
  {},
  async (cluster) => {
    await cluster.mountTokenFor(3_600_000);
    const old = await cluster.startProgramInPod({ ...SHORT_TIMES, "drain-timeout": `${DRAIN_S}s` });
    await old.untilReady();
    const build = await (await cluster.build(old)).running();
    const [next] = await startProxies(cluster, 1);
    await cluster.mountTokenFor(TOKEN_MS);
    old.signal("SIGTERM");
    await until("the new proxy to lead", () => leads(next!));
    await old.waitForRecord(
      "its token is refused",
      ({ code, cause }) => code === "api_access_failed" && /HTTP 401/.test(String(cause)),
    );
    // A record of the usual length would have expired by then, and the idle timeout would be over.
    await delay(EXPIRY_MS);
    await longWhile();
    assert.equal((await records(cluster)).length, 2);
    assert.equal(build.ended, false, "the build goes on");
    await build.finish();
    assert.equal((await within("the old proxy to leave", old.exited)).code, 0);
    assert.equal(old.events("token_expires_in_drain").length, 1);
    assert.equal(old.events("own_record_deletion_failed").length, 1);
    assert.deepEqual(cluster.timeline.counts, [0, 1], "nobody knows yet that the build has ended");
    await cluster.timeline.settle([0, 1, 0]);
    await until("the record to be deleted", async () => (await leases(cluster)).proxies === 1);
    await (await cluster.build(next!)).finish();
    assert.equal(await next!.stop(), 0);
  },
);
