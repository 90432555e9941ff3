/**
 * Three proxies in front of three builders, replaced one after the other under thirty builds.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build } from "./build.ts";
import { asleep, finishedOn, NAMES, ProjectNames, projectOn, settleAll, startFor } from "./many_builders.ts";
import type { Program } from "./program.ts";
import { scenario } from "./scenario.ts";
import { leases } from "./several_proxies.ts";
import { within } from "./waiting.ts";

const PROXIES = 3;
const BUILDS = 30;
/** More at a time than a small machine can start. */
const AT_ONCE = 6;

scenario(
  "three proxies are replaced under thirty builds, and none is cut",
  { builders: asleep(3) },
  async (cluster) => {
    const old: Program[] = [];
    for (let i = 0; i < PROXIES; i++) old.push(await startFor(cluster, 3));
    await using names = await ProjectNames.for(cluster);
    const builds: Build[] = [];
    for (let i = 0; i < BUILDS; i += AT_ONCE) {
      const some: Build[] = [];
      for (let j = i; j < i + AT_ONCE; j++) {
        some.push(await names.build(old[j % PROXIES]!, projectOn(NAMES[j % 3]!, 3, j % 2)));
        // The client has looked its project's name up when it is connected, which may lead elsewhere after that.
        await some.at(-1)!.running();
      }
      builds.push(...some);
    }
    const next: Program[] = [];
    for (const program of old) {
      next.push(await startFor(cluster, 3));
      program.signal("SIGTERM");
      // A build through the new one, while all those through the old ones go on.
      await (await names.build(next.at(-1)!, projectOn(NAMES[0], 3))).finish();
    }
    assert.deepEqual(builds.filter(({ ended }) => ended), []);
    for (let i = 0; i < BUILDS; i += AT_ONCE) {
      await Promise.all(builds.slice(i, i + AT_ONCE).map((build) => finishedOn(build)));
    }
    for (const program of old) assert.equal((await within("an old proxy to leave", program.exited)).code, 0);
    await settleAll(cluster, Object.fromEntries(NAMES.map((name) => [name, [0, 1, 0]])));
    for (const program of next) assert.equal(await program.stop(), 0);
    assert.equal((await leases(cluster)).proxies, 0);
  },
);
