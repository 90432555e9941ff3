/**
 * Projects of clients that use TLS: by the name that they dial, whether TLS ends at the proxy or at buildkitd.
 *
 * @module
 */

import assert from "node:assert/strict";
import { asleep, finishedOn, NAMES, ProjectNames, projectOn, settleAll, startFor } from "./many_builders.ts";
import { buildkitdRuntime, type PodRuntime, TARGET_PORT } from "./pod_process.ts";
import { scenario } from "./scenario.ts";
import { cgroupParent, programPath, surroundings } from "./surroundings.ts";
import { tlsAddress, TlsFiles } from "./tls_files.ts";

const HOME = NAMES[1];
const PROJECT = projectOn(HOME, 2);
const WOKEN = { [NAMES[0]]: [0], [HOME]: [0, 1, 0] };

scenario(
  "TLS that ends at the proxy: a project is known by its name",
  { builders: asleep(2) },
  async (cluster) => {
    const files = await TlsFiles.make(cluster, [PROJECT]);
    const program = await startFor(cluster, 2, files.flags({ mutual: true }));
    await using names = await ProjectNames.for(cluster);
    const address = await names.address(program, PROJECT, await tlsAddress(program));
    const build = await cluster.build(program, { address, tls: await files.client(), project: PROJECT });
    assert.equal(await finishedOn(build), `${HOME}-0`);
    await settleAll(cluster, WOKEN);
    assert.equal(await program.stop(), 0);
  },
);

/** The daemons' files: they end TLS themselves. */
const daemonFiles = await TlsFiles.make(
  { folder: await Deno.makeTempDir({ dir: surroundings().folder, prefix: "daemon-tls-" }) },
  [PROJECT],
);

const runtime: PodRuntime = async (pod) => {
  const { ca, cert, key } = daemonFiles.server;
  const daemon = await buildkitdRuntime(programPath("buildkitd"), cgroupParent(), [
    `--tlscacert=${ca}`,
    `--tlscert=${cert}`,
    `--tlskey=${key}`,
  ])(pod);
  const connects = () => Deno.connect({ hostname: pod.ip, port: TARGET_PORT });
  return { ...daemon, isReady: () => connects().then((conn) => (conn.close(), true), () => false) };
};

scenario(
  "TLS that ends at buildkitd: a project is known by SNI",
  { builders: asleep(2), runtime },
  async (cluster) => {
    const program = await startFor(cluster, 2);
    await using names = await ProjectNames.for(cluster);
    const address = await names.address(program, PROJECT);
    const build = await cluster.build(program, {
      address,
      tls: await daemonFiles.client(),
      project: PROJECT,
    });
    assert.equal(await finishedOn(build), `${HOME}-0`);
    await settleAll(cluster, WOKEN);
    assert.equal(await program.stop(), 0);
  },
);
