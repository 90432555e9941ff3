/**
 * What TLS that ends at the proxy costs: one stream each way through the contenders that can do it, with and without client
 * certificates.
 *
 * @module
 */
import { makeCa } from "../integration/kube/certificates.ts";
import type { Setting } from "./contenders.ts";
import type { Contender, Part, Row } from "./figures.ts";
import { BYTES, type Load, plot, race, STREAMS, type Turns } from "./races.ts";

const loadsOf = (mutual: boolean): readonly Load[] =>
  STREAMS.filter(({ conns }) => conns === 1).map((load) => ({
    ...load,
    id: `tls${mutual ? "-mutual" : ""}-${load.mode}`,
    what: `${load.what}, ${mutual ? "with" : "without"} client certificates`,
  }));

/** Bytes a second through TLS that ends at the proxy. */
export async function measureTls(setting: Setting, turns: Turns): Promise<Part> {
  const names: readonly Contender[] = ["program", "Go", "HAProxy", "nginx"];
  await writeFiles(setting.folder);
  const rows: Row[] = [];
  for (const mutual of [false, true]) {
    const tls = { folder: setting.folder, mutual };
    rows.push(...await race({ ...setting, tls }, names, loadsOf(mutual), BYTES, turns));
  }
  const loads = [false, true].flatMap(loadsOf);
  return {
    name: "tls",
    title: "TLS",
    meaning:
      "One stream through TLS that ends at the proxy. The program encrypts on the one thread that also relays. There is no bar: the aims are 0.9 of Go without client certificates and 0.6 with them.",
    contenders: names,
    rows,
    plots: [plot("tls", "Bytes through TLS at the proxy, in GB/s: more is better", loads)],
  };
}

async function writeFiles(folder: string): Promise<void> {
  const ca = await makeCa();
  const server = await ca.issue({ commonName: "builds", dnsNames: ["localhost"] });
  const client = await ca.issue({ commonName: "client" });
  const files = {
    "ca.crt": ca.cert,
    "server.crt": server.cert,
    "server.key": server.key,
    "client.crt": client.cert,
    "client.key": client.key,
    "server.pem": server.cert + server.key,
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
}
