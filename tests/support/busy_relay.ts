/**
 * Prints how many reads of streams that never wait are served before a new connection is accepted, in the middle of 20
 * connections. Both ends of all connections are in this process.
 *
 * @module
 */
const STREAMS = 20;
const CONNECTIONS = 20;

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const dial = () => Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
let reads = 0;
for (let i = 0; i < STREAMS; i++) {
  const [near, far] = await Promise.all([dial(), listener.accept()]);
  const chunk = new Uint8Array(64 * 1024), buffer = new Uint8Array(64 * 1024);
  (async () => {
    while (true) await near.write(chunk);
  })();
  (async () => {
    while (true) {
      await far.read(buffer);
      reads++;
    }
  })();
}
const waited: number[] = [];
for (let i = 0; i < CONNECTIONS; i++) {
  const before = reads;
  await Promise.all([dial(), listener.accept()]);
  waited.push(reads - before);
}
waited.sort((a, b) => a - b);
// deno-lint-ignore no-console
console.log(waited[CONNECTIONS / 2]);
Deno.exit(0);
