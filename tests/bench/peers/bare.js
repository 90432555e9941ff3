/**
 * The least that a TCP proxy on Deno can be: accept, connect, copy both ways, half-close, with small buffers while nothing
 * comes. What it costs is what the runtime costs; what the program costs beside it is what the program does. It is for the
 * benchmark only: a peer that hangs or breaks the connection is nothing that it handles.
 *
 *     bare LISTEN BACKEND
 *
 * @module
 */
const [listen, backend] = Deno.args.map((address) => {
  const [hostname, port] = address.split(":");
  return { hostname, port: Number(port) };
});

const spare = [];

async function copy(from, to) {
  const small = new Uint8Array(1025);
  for (let isFull = false;;) {
    const buffer = isFull ? spare.pop() ?? new Uint8Array(262144) : small;
    const n = await from.read(buffer);
    if (n === null) return await to.closeWrite();
    for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
    isFull = n === buffer.byteLength;
    if (buffer !== small) spare.push(buffer);
  }
}

async function relay(downstream) {
  const upstream = await Deno.connect(backend);
  for (const conn of [downstream, upstream]) conn.setNoDelay();
  await Promise.allSettled([copy(downstream, upstream), copy(upstream, downstream)]);
  for (const conn of [downstream, upstream]) conn.close();
}

for await (const conn of Deno.listen(listen)) relay(conn).catch(() => {});
