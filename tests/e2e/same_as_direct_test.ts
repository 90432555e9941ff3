/**
 * A build through the hold is the build that it would have been without the proxy: the daemon sees the same frames, and
 * makes the same image.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { ACK, FRAME, type Frame } from "../../lib/miniature/stub_http2.ts";
import { rawFields } from "../support/http2_client.ts";
import { RecordingDaemon } from "../support/recording_daemon.ts";
import { Child } from "./child_process.ts";
import { type PodIdentity, type PodRuntime, TARGET_PORT } from "./pod_process.ts";
import { type Cluster, programPath, scenario } from "./scenario.ts";
import { delay, until, within } from "./waiting.ts";

/** That a hold of any length is survived is shown elsewhere; this one is for the client to say all that it will. */
const COLD_START_MS = 3_000;

/** One address for the daemon and, later, the program: it stands in the clients' header blocks. */
const ADDRESS = "10.99.3.1";

/** Listens and records until it is closed. */
function listen(ip: string, daemon: RecordingDaemon): Deno.Listener {
  const listener = Deno.listen({ hostname: ip, port: TARGET_PORT });
  const acceptAll = async () => {
    try {
      for await (const conn of listener) {
        daemon.record(conn)
          .catch(() => {}) // The client was killed.
          .finally(() => conn.close());
      }
    } catch {
      // The listener was closed.
    }
  };
  acceptAll();
  return listener;
}

function recordingRuntime(daemon: RecordingDaemon): PodRuntime {
  return ({ ip }: PodIdentity) => {
    const listener = listen(ip, daemon);
    const ended = Promise.withResolvers<string>();
    const stop = () => {
      try {
        listener.close();
      } catch {
        // It was closed before.
      }
      ended.resolve("exit 0");
      return Promise.resolve();
    };
    return Promise.resolve({
      exited: ended.promise,
      isReady: () => Promise.resolve(true),
      terminate: () => void stop(),
      kill: stop,
    });
  };
}

/** What buildctl says until its first call is out, seen by `daemon` at `ADDRESS`, whoever listens there. */
async function firstCall(cluster: Cluster, daemon: RecordingDaemon, meanwhile: () => Promise<void>) {
  const before = daemon.recordings.length;
  const client = new Child({
    name: "buildctl debug workers",
    command: programPath("buildctl"),
    args: [`--addr=tcp://${ADDRESS}:${TARGET_PORT}`, "debug", "workers"],
    logFile: join(cluster.folder, "debug-workers.log"),
  });
  try {
    await meanwhile();
    return await until("the client's call, and its acknowledgement of the daemon's SETTINGS", () => {
      const frames = daemon.recordings[before]?.frames ?? [];
      const called = frames.some(({ type, stream }) => type === FRAME.data && stream === 1);
      return called && frames.some(isAck) ? frames : undefined;
    }, { explain: () => client.tail() });
  } finally {
    await client.kill();
  }
}

function isAck({ type, flags }: Frame): boolean {
  return type === FRAME.settings && (flags & ACK) !== 0;
}

/** All of a frame but the values in a header block. */
function inOutline({ type, flags, stream, payload }: Frame) {
  const content = type === FRAME.headers
    ? rawFields(payload).map(({ name }) => name.toHex())
    : payload.toHex();
  return { type, flags, stream, content };
}

/** `traceparent` in Huffman coding: the name of the one field that is new with each run of a client. */
const TRACEPARENT = "4d83216b1d85a93f";

/** The fields in header blocks whose values are not the same. */
function valuesThatDiffer(some: readonly Frame[], others: readonly Frame[]): readonly string[] {
  const fields = (frames: readonly Frame[]) =>
    frames.filter(({ type }) => type === FRAME.headers).flatMap(({ payload }) => rawFields(payload));
  const wanted = fields(others);
  return fields(some).filter(({ value }, i) => value.toHex() !== wanted[i]?.value.toHex())
    .map(({ name }) => name.toHex().endsWith(TRACEPARENT) ? "the trace's id" : name.toHex());
}

const recorder = new RecordingDaemon();

scenario(
  "a daemon sees the same frames of buildctl after a hold as it does directly",
  { runtime: recordingRuntime(recorder) },
  async (cluster) => {
    const listener = listen(ADDRESS, recorder);
    const direct = await firstCall(cluster, recorder, () => Promise.resolve());
    listener.close();

    // With health checks the daemon would record those as well.
    const program = await (await cluster.startProgram({
      "listen-addr": `${ADDRESS}:${TARGET_PORT}`,
      "readiness": "pod",
    })).untilReady();
    cluster.kubelet.behaviour.ready.shut();
    const held = await firstCall(cluster, recorder, async () => {
      await program.untilHeld(1);
      await delay(COLD_START_MS);
      cluster.kubelet.behaviour.ready.open();
    });
    // When the acknowledgement comes depends on when the daemon's SETTINGS do.
    const [heldFrames, directFrames] = [held, direct].map((frames) =>
      frames.filter((frame) => !isAck(frame))
    );
    assert.deepEqual(heldFrames!.map(inOutline), directFrames!.map(inOutline));
    assert.deepEqual(valuesThatDiffer(heldFrames!, directFrames!), ["the trace's id"]);
    assert.equal(held.filter(isAck).length, 1);
    assert.ok(held.some(({ type, stream }) => type === FRAME.headers && stream === 1));
    assert.equal(await program.stop(), 0);
  },
);

scenario("an image that is built through a hold is the one that is built directly", {}, async (cluster) => {
  const program = await (await cluster.startProgram()).untilReady();
  const context = join(cluster.folder, "context");
  await Deno.mkdir(context);
  await Deno.copyFile(programPath("busybox"), join(context, "busybox"));
  await Deno.writeTextFile(
    join(context, "Dockerfile"),
    `FROM scratch
COPY --chmod=755 busybox /bin/sh
RUN ["/bin/sh", "-c", "echo built > /result"]
`,
  );
  let runs = 0;
  const buildctl = async (address: string, ...args: readonly string[]) => {
    const child = new Child({
      name: `buildctl ${args[0]}`,
      command: programPath("buildctl"),
      args: [`--addr=${address}`, ...args],
      logFile: join(cluster.folder, `buildctl-${++runs}.log`),
    });
    const { code } = await within("buildctl to end", child.exited);
    assert.equal(code, 0, child.tail());
  };
  const digest = async (address: string): Promise<string> => {
    const metadata = join(cluster.folder, `metadata-${++runs}.json`);
    const image = join(cluster.folder, `image-${runs}.tar`);
    await buildctl(
      ...[address, "build", "--progress=plain", "--frontend=dockerfile.v0"],
      ...[
        `--local=context=${context}`,
        `--local=dockerfile=${context}`,
        "--opt=build-arg:SOURCE_DATE_EPOCH=0",
      ],
      ...[`--output=type=oci,dest=${image},rewrite-timestamp=true`, `--metadata-file=${metadata}`],
    );
    return JSON.parse(await Deno.readTextFile(metadata))["containerimage.digest"];
  };
  cluster.kubelet.behaviour.start.shut();
  const held = digest(program.clientAddress);
  await program.untilHeld(1);
  await delay(COLD_START_MS);
  cluster.kubelet.behaviour.start.open();
  const heldDigest = await held;
  const ip = cluster.kubelet.history.find(({ what }) => what === "started")?.detail;
  const directAddress = `tcp://${ip}:${TARGET_PORT}`;
  // Nothing of the first build may serve the second.
  await buildctl(directAddress, "prune", "--all");
  const directDigest = await digest(directAddress);
  assert.match(heldDigest, /^sha256:[0-9a-f]{64}$/);
  assert.equal(heldDigest, directDigest);
  assert.equal(await program.stop(), 0);
});
