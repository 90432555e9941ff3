/** Tests of a draining proxy's record and the end of its token, as numbers. @module */
import assert from "node:assert/strict";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../../lib/config/settings.ts";
import {
  goodForMs,
  longestDrainMs,
  RecordLifetime,
  UNLIMITED_DRAIN_MS,
  warnOfShortToken,
} from "../../../lib/ha/token_end.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const expiryMs = 5 * MINUTE_MS;

Deno.test("goodForMs() is the record expiry, unless the token of the draining proxy ends before that", () => {
  const cases: readonly (readonly [drainLeftMs: number, tokenLeftMs: number, wanted: number])[] = [
    [HOUR_MS, expiryMs + 1, expiryMs],
    [Infinity, expiryMs + 1, expiryMs],
    [HOUR_MS, expiryMs, HOUR_MS + expiryMs],
    [HOUR_MS, 1, HOUR_MS + expiryMs],
    [HOUR_MS, -HOUR_MS, HOUR_MS + expiryMs],
    [1, 1, expiryMs + 1],
    [-MINUTE_MS, 1, expiryMs],
    [Infinity, 1, UNLIMITED_DRAIN_MS + expiryMs],
  ];
  for (const [drainLeftMs, tokenLeftMs, wanted] of cases) {
    assert.equal(goodForMs({ expiryMs, drainLeftMs, tokenLeftMs }), wanted, `${drainLeftMs} ${tokenLeftMs}`);
  }
});

Deno.test("longestDrainMs() is the shutdown delay and the drain timeout, or without limit", () => {
  const given = { shutdownDelayMs: 5_000, recordExpiryMs: expiryMs };
  assert.equal(longestDrainMs({ ...given, drainTimeoutMs: HOUR_MS }), HOUR_MS + 5_000);
  assert.equal(longestDrainMs({ ...given, drainTimeoutMs: 0 }), Infinity);
});

function warnings(lifetimeMs: number, flags: Partial<Record<SettingKey, string>> = {}) {
  const log = recordingLog();
  const settings = parseSettings({
    flags: new Map(Object.entries(flags)) as Map<SettingKey, string>,
    variables: {},
  });
  const issuedMs = Date.parse("2030-01-01T00:00:00Z");
  warnOfShortToken({ issuedMs, expiresMs: issuedMs + lifetimeMs }, settings, log);
  return log.of("token_lifetime_short").map(({ fields }) => fields);
}

Deno.test("warnOfShortToken() asks for five times the longest drain, and names the lifetime", () => {
  // 1 h to drain, 5 s before that, 5 min for the record.
  const neededMs = HOUR_MS + 5_000 + 5 * MINUTE_MS;
  assert.deepEqual(warnings(5 * neededMs), []);
  assert.equal(warnings(5 * neededMs - 1_000).length, 1);
  assert.deepEqual(warnings(3_607_000), [{
    lifetime: "1h0m7s",
    cause:
      "the kubelet renews the token when a fifth of its lifetime is left, but not while the pod terminates; a drain " +
      "of this proxy may need it for 1h5m5s",
    then: 'mount a projected token with "expirationSeconds: 19525" or more (chart: ' +
      "autoscaler.serviceAccount.tokenExpirationSeconds), or lower --drain-timeout",
  }]);
  assert.deepEqual(warnings(3_607_000, { drainTimeoutMs: "6m" }), []);
  assert.equal(warnings(3_607_000, { drainTimeoutMs: "8m" }).length, 1);
});

Deno.test("warnOfShortToken() takes a drain without limit for a day, and knows that a token of a day is renewed", () => {
  const dayMs = 24 * HOUR_MS;
  const unlimited = { drainTimeoutMs: "0s" };
  assert.deepEqual(warnings(2 * dayMs + 5 * MINUTE_MS, unlimited), []);
  assert.equal(warnings(2 * dayMs, unlimited).length, 1);
  // The API server extends the tokens that are mounted without a wish of one's own, to a year.
  assert.deepEqual(warnings(365 * dayMs, unlimited), []);
});

Deno.test("warnOfShortToken() says nothing of credentials that do not tell their lifetime", () => {
  const log = recordingLog();
  warnOfShortToken(undefined, parseSettings({ flags: new Map(), variables: {} }), log);
  assert.deepEqual(log.records, []);
});

Deno.test("RecordLifetime warns once for as long as records are good for longer than usual, and not while they are not", async () => {
  const clock = new VirtualClock();
  const log = recordingLog();
  const token = { issuedMs: 0, expiresMs: 0 };
  const lifetime = new RecordLifetime(expiryMs, {
    clock,
    log,
    cluster: { tokenTimes: () => Promise.resolve(token) },
  });
  const warned = () => log.of("token_expires_in_drain").map(({ fields }) => fields);
  token.expiresMs = clock.wallMs() + 1;
  assert.equal(await lifetime.goodForMs(), expiryMs, "it does not drain");
  lifetime.drain(HOUR_MS);
  await clock.advance(MINUTE_MS);
  token.expiresMs = clock.wallMs() + expiryMs + 1;
  assert.equal(await lifetime.goodForMs(), expiryMs);
  assert.deepEqual(warned(), []);
  await clock.advance(500);
  for (let writes = 0; writes < 2; writes++) {
    assert.equal(await lifetime.goodForMs(), HOUR_MS - MINUTE_MS - 500 + expiryMs);
  }
  assert.deepEqual(warned(), [{
    expires: new Date(token.expiresMs).toISOString(),
    then: "other proxies keep this proxy's builds for 1h4m0s from its last write on",
  }]);
  token.expiresMs += HOUR_MS;
  assert.equal(await lifetime.goodForMs(), expiryMs);
  token.expiresMs -= HOUR_MS;
  await lifetime.goodForMs();
  assert.equal(warned().length, 2, "again, since a newer token had come");
});

Deno.test("RecordLifetime: credentials that do not tell their end change nothing", async () => {
  for (const cluster of [{}, { tokenTimes: () => Promise.resolve(undefined) }]) {
    const lifetime = new RecordLifetime(expiryMs, {
      clock: new VirtualClock(),
      log: recordingLog(),
      cluster,
    });
    lifetime.drain(HOUR_MS);
    assert.equal(await lifetime.goodForMs(), expiryMs);
  }
});
