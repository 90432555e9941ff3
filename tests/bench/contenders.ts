/**
 * The proxies that are measured side by side in front of one backend, each with a minimal configuration of its own: the
 * program, a bare relay on the same runtime, the Go `io.Copy` proxy, and HAProxy and nginx where Debian's packages of these
 * names are installed. `HAPROXY` and `NGINX` name the programs, where they are not in the path.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Contender } from "./figures.ts";
import type { Peers } from "./peers.ts";
import { Background, connectOnce, freePort } from "./processes.ts";
import { programVersion, SOURCES, type Stage } from "./stage.ts";

const LOOPBACK = "127.0.0.1";
const NGINX_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** One of them as it runs. */
export interface Running {
  readonly name: Contender;
  /** Where it takes connections. */
  readonly address: string;
  /** What it costs; undefined for no proxy at all. */
  readonly process?: Background;
}

/** How all of them are set up for TLS. */
export interface Tls {
  /** With the files that `makeTlsFiles` writes. */
  readonly folder: string;
  /** Whether clients must show a certificate. */
  readonly mutual: boolean;
}

/** The versions of the peers that must be installed; undefined for one that is not. */
export interface Installed {
  readonly haproxy: string | undefined;
  readonly nginx: string | undefined;
}

/** Looks for them. */
export async function installedPeers(): Promise<Installed> {
  const module = await Deno.stat(NGINX_MODULE).then(() => true, () => false);
  return {
    haproxy: await versionOf(haproxyProgram()),
    nginx: module ? await versionOf(nginxProgram()) : undefined,
  };
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command(program, { args: ["-v"] }).output();
    const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    return /\d+\.\d+\.\d+/.exec(said)?.[0];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function haproxyProgram(): string {
  return Deno.env.get("HAPROXY") ?? "haproxy";
}

function nginxProgram(): string {
  return Deno.env.get("NGINX") ?? "nginx";
}

/** What starts them. */
export interface Setting {
  readonly stage: Stage;
  readonly peers: Peers;
  readonly installed: Installed;
  readonly folder: string;
  /** Compiles `peers/bare.js`, once. */
  readonly bare: () => Promise<string>;
  readonly tls?: Tls;
}

/** Starts one; undefined if it is not installed. */
export async function start(setting: Setting, name: Contender): Promise<Running | undefined> {
  const { stage, peers, installed, folder } = setting;
  const backend = stage.backendAddress;
  switch (name) {
    case "direct":
      return { name, address: backend };
    case "program":
      return await startProgram(setting);
    case "Go": {
      const files = setting.tls === undefined ? [] : [`TLS_FILES=${setting.tls.folder}`];
      const mutual = setting.tls?.mutual ? ["TLS_MUTUAL=1"] : [];
      return await startPeer(name, folder, (address) => [
        ...["env", ...files, ...mutual],
        ...[peers.proxy, address, backend],
      ]);
    }
    case "Deno, bare":
      return await startPeer(name, folder, async (address) => [await setting.bare(), address, backend]);
    case "HAProxy":
    case "HAProxy, all threads":
      if (installed.haproxy === undefined) return undefined;
      return await startPeer(name, folder, async (address) => {
        const threads = name === "HAProxy" ? "nbthread 1" : "";
        const config = await configure(setting, "haproxy.cfg", name, {
          ...haproxyTls(setting),
          threads,
          address,
        });
        return [haproxyProgram(), "-db", "-f", config];
      });
    case "nginx":
      if (installed.nginx === undefined) return undefined;
      return await startPeer(name, folder, async (address) => {
        const config = await configure(setting, "nginx.conf", name, { ...nginxTls(setting), address });
        return [nginxProgram(), "-p", folder, "-c", config];
      });
    case "empty":
      throw new Error("Cannot start the empty program as a proxy");
  }
}

/** Starts those of `names` that are installed, and gives them, to be disposed of together. */
export async function startAll(
  setting: Setting,
  names: readonly Contender[],
): Promise<AsyncDisposable & { readonly all: readonly Running[] }> {
  const all: Running[] = [];
  const end = async () => {
    for (const { process } of all) await process?.[Symbol.asyncDispose]();
  };
  try {
    for (const name of names) {
      const running = await start(setting, name);
      if (running !== undefined) all.push(running);
    }
  } catch (error) {
    await end();
    throw error;
  }
  return { all, [Symbol.asyncDispose]: end };
}

async function startProgram({ stage, tls }: Setting): Promise<Running> {
  if (tls === undefined) return { name: "program", ...await stage.startProgram() };
  const address = `${LOOPBACK}:${freePort(LOOPBACK)}`;
  const { process } = await stage.startProgram({
    "listen-addr": "off",
    "tls-listen-addr": address,
    "tls-cert": `${tls.folder}/server.crt`,
    "tls-key": `${tls.folder}/server.key`,
    ...(tls.mutual ? { "tls-client-ca": `${tls.folder}/ca.crt` } : {}),
  }, await takesTls() ? undefined : SOURCES);
  return { name: "program", address, process };
}

/** Whether the program does: it refuses to on a Deno before 2.9. */
export async function takesTls(): Promise<boolean> {
  const [, major, minor] = /deno (\d+)\.(\d+)/.exec(await programVersion()) ?? [];
  return Number(major) > 2 || Number(minor) >= 9;
}

async function startPeer(
  name: Contender,
  folder: string,
  command: (address: string) => readonly string[] | Promise<readonly string[]>,
): Promise<Running> {
  const port = freePort(LOOPBACK);
  const address = `${LOOPBACK}:${port}`;
  const [program, ...args] = await command(address);
  const process = new Background(name, `${folder}/peers.log`, program!, args);
  await process.until(() => connectOnce(LOOPBACK, port));
  return { name, address, process };
}

/** Writes a configuration with these values in it, and gives its path. */
async function configure(
  { stage, folder }: Setting,
  file: string,
  name: Contender,
  { address, ...values }: Readonly<Record<string, string>>,
): Promise<string> {
  const template = fileURLToPath(new URL(`peers/${file}`, import.meta.url));
  const all: Record<string, string> = { folder, backend: stage.backendAddress, listen: address!, ...values };
  const text = (await Deno.readTextFile(template)).replaceAll(/@(\w+)@/g, (_, key) => {
    const value = all[key];
    if (value === undefined) throw new Error(`Cannot fill in ${file}: found @${key}@`);
    return value;
  });
  const path = `${folder}/${name.replaceAll(/\W+/g, "-")}-${file}`;
  await Deno.writeTextFile(path, text);
  return path;
}

function haproxyTls({ tls }: Setting): Record<string, string> {
  if (tls === undefined) return { tls: "" };
  const verify = tls.mutual ? ` ca-file ${tls.folder}/ca.crt verify required` : "";
  return { tls: ` ssl crt ${tls.folder}/server.pem alpn h2 ssl-min-ver TLSv1.2${verify}` };
}

function nginxTls({ tls }: Setting): Record<string, string> {
  if (tls === undefined) return { ssl: "", tls: "" };
  const verify = tls.mutual ? ` ssl_client_certificate ${tls.folder}/ca.crt; ssl_verify_client on;` : "";
  const own = `ssl_certificate ${tls.folder}/server.crt; ssl_certificate_key ${tls.folder}/server.key;`;
  return { ssl: " ssl", tls: `${own} ssl_alpn h2; ssl_protocols TLSv1.2 TLSv1.3;${verify}` };
}
