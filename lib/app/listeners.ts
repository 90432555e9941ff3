/**
 * Opens the listeners for clients: plain, with TLS, or both, behind a load balancer or not. To the proxy they are one.
 *
 * @module
 */
import { FatalError, messageOf, UsageError } from "../base/errors.ts";
import { type Address, formatAddress } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { doorsOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import { Arrivals, FEW_ARRIVALS, MOST_ARRIVALS } from "../entrance/arrivals.ts";
import { Entrance, type EntranceSteps } from "../entrance/entrance.ts";
import { ReloadedCredentials } from "../entrance/server_credentials.ts";
import type { ClientRules } from "../entrance/tls_server.ts";
import type { Machine } from "../kube/machine.ts";
import { listenOn } from "../proxy/listen.ts";
import type { Entry } from "../proxy/proxy.ts";
import type { RoomPorts } from "../proxy/room.ts";
import { projectOf } from "../route/project.ts";
import type { Door } from "../target/seats.ts";
import { projectNames } from "./builders.ts";

/** What listeners are made with. */
export type ListenerPorts = Pick<BasePorts, "clock" | "log" | "metrics" | "network"> & {
  /** The version of Deno. */
  readonly runtime: string;
  /** Reads the files that TLS needs. */
  readonly readText: Machine["readText"];
};

/** What they are opened with. */
export type OpeningPorts = ListenerPorts & {
  /** How many connections may be on their way to a session. Asked only when some have come. */
  readonly mostArrivals: () => number;
};

/** The listeners of the program. */
export interface Listeners {
  /** All of them, and which door each is. */
  readonly entries: readonly Entry[];
  /** Where the plain one for all clients is, if there is one. */
  readonly plain: Address | undefined;
  /** Where the one with TLS is, if there is one. */
  readonly tls: Address | undefined;
  /** How many connections may be on their way to a session, where they are not sessions at once. */
  readonly arrivals: RoomPorts["arrivals"];
  /** Reads the files of TLS again and again, where there is TLS. Ends with the reason of the signal. */
  readonly watch: ((signal: AbortSignal) => Promise<void>) | undefined;
}

type Secure = NonNullable<EntranceSteps["secure"]>;

/**
 * Opens them, with the credentials of {@link loadCredentials}. Those of projects and pools (`--listeners`) are like the one
 * for all clients: plain, or with TLS where there is none without.
 *
 * @throws FatalError when an address cannot be listened on
 */
export async function openListeners(
  settings: Settings,
  defaultPool: string,
  ports: OpeningPorts,
  credentials: ReloadedCredentials | undefined,
): Promise<Listeners> {
  const { listenAddr, tlsListenAddr, tlsClientNames, answerHttp, proxyProtocolFrom: proxiesFrom = [] } =
    settings;
  const arrivals = new Arrivals(ports.clock, ports.mostArrivals);
  const secure = credentials &&
    await secureWith(
      credentials,
      { names: tlsClientNames, offersHttp1: answerHttp, clock: ports.clock },
      arrivals,
    );
  const entries: Entry[] = [];
  const open = (address: Address | "off", flag: string, door: Door, secure?: Secure): Address | undefined => {
    if (address === "off") return undefined;
    try {
      const tcp = listenOn(ports.network, address);
      const isPlain = secure === undefined && proxiesFrom.length === 0;
      const listener = isPlain
        ? tcp
        : new Entrance(tcp, { proxiesFrom, secure, servesProbes: answerHttp }, { ...ports, arrivals });
      entries.push({ listener, door, isTls: secure !== undefined });
      return listener.addr;
    } catch (error) {
      for (const { listener } of entries) listener.close();
      throw cannotListen(address, flag, error);
    }
  };
  const plain = open(listenAddr, "--listen-addr", { pool: defaultPool });
  const tls = open(tlsListenAddr, "--tls-listen-addr", { pool: defaultPool }, secure);
  for (const { address, project, pool = defaultPool } of doorsOf(settings)) {
    const name = project === undefined ? undefined : projectOf(project, projectNames(settings)) ?? project;
    open(address, "--listeners", { pool, project: name }, plain === undefined ? secure : undefined);
  }
  if (entries.length === 0) throw new FatalError("Cannot listen for clients: no address is given");
  return {
    entries,
    plain,
    tls,
    arrivals: tls === undefined && proxiesFrom.length === 0
      ? undefined
      : { most: MOST_ARRIVALS, few: FEW_ARRIVALS },
    watch: credentials && ((signal) => credentials.watch(signal)),
  };
}

/** The error for an address of a flag that cannot be listened on. */
export function cannotListen(address: Address, flag: string, cause: unknown): FatalError {
  const what = `Cannot listen on "${formatAddress(address)}" (${flag})`;
  if (!(cause instanceof Deno.errors.AddrInUse)) return new FatalError(what, { cause });
  return new FatalError(
    `${what}: ${
      messageOf(cause)
    }: found another process that listens there, end it or choose another address with "${flag}"`,
    { cause },
  );
}

/** The runtime's TLS is loaded only here: most programs need none, and it costs memory for as long as they run. */
async function secureWith(
  credentials: ReloadedCredentials,
  rules: ClientRules,
  { networks }: Arrivals,
): Promise<Secure> {
  const { TlsServer } = await import("../entrance/tls_server.ts");
  const server = new TlsServer(rules, networks);
  return (tcp, signal) => server.accept(tcp, credentials.current, signal);
}

/**
 * Reads what the listener with TLS needs; nothing if there is none.
 *
 * @throws UsageError with all problems, of the runtime and of the files
 */
export async function loadCredentials(
  settings: Settings,
  ports: ListenerPorts,
): Promise<ReloadedCredentials | undefined> {
  if (settings.tlsListenAddr === "off") return undefined;
  const problems = canServeTls(ports.runtime) ? [] : [
    `Cannot use "--tls-listen-addr": this program runs on Deno ${ports.runtime}, which cannot serve TLS on connections ` +
    "that it has accepted, want a build with Deno 2.9 or later",
  ];
  const loading = ReloadedCredentials.load(settings, { ...ports, machine: ports });
  const credentials = await loading.catch((error) => {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError([...problems, ...error.problems]);
  });
  if (problems.length > 0) throw new UsageError(problems);
  return credentials;
}

/** On Deno 2.6.10 the handshake never ends; 2.9 is the first that was tried after it. */
export function canServeTls(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 9);
}
