/**
 * How pods are reached: by their addresses, by their names, or by port-forwarding through the API server
 * (`--upstream`). With `auto` it is their addresses in a cluster. Elsewhere the first dial decides: a connection to the
 * pod's address that is made within a second, else port-forwarding; and again when dials begin to fail, since a laptop
 * changes its network. Each try is one dial; when to try again is the session's decision.
 *
 * @module
 */
import { deadline } from "../base/clock.ts";
import type { Abortable } from "../base/ending.ts";
import { messageOf, TimeoutError } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import type { Conn } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Settings } from "../config/settings.ts";
import { ApiError } from "../kube/api_error.ts";
import type { KubeClient } from "../kube/client.ts";
import { SERVICE_ACCOUNT } from "../kube/cluster.ts";
import { openPortForward, PortForwardError } from "../kube/port_forward.ts";
import type { Backend } from "../scaler/backends.ts";
import { dial, type Dialler, type DialSettings } from "./dial.ts";
import { DialPace } from "./dial_pace.ts";
import { DialError } from "./seats.ts";
import type { UpstreamTls } from "./upstream_tls.ts";

/** The settings that matter. */
export interface UpstreamSettings extends Omit<DialSettings, "upstream"> {
  /** The way, or `auto`. */
  readonly upstream: Settings["upstream"];
}

/** What it dials with. */
export interface UpstreamPorts extends Pick<BasePorts, "clock" | "random" | "log" | "network"> {
  /** Forwards ports. */
  readonly client: KubeClient;
  /** Speaks TLS in forwarded ports, where the network speaks it to addresses. */
  readonly upstreamTls?: Pick<UpstreamTls, "connect"> | undefined;
}

/** How long a connect to a pod's address may take before the way is taken for closed, in ms. */
export const PROBE_MS = 1_000;

type Way = "slices" | "port-forward";

/** See the module. */
export class Upstream implements Dialler {
  readonly #settings: UpstreamSettings;
  readonly #ports: UpstreamPorts;
  /** With `auto`: what was found to work, until it does no more. */
  #way: Way | undefined;
  #told: Way | undefined;
  /** Port-forwards that did not get as far as the pod. */
  readonly #forwardFaults: CauseLog;
  readonly #pace: DialPace;

  /** Dials nothing yet. */
  constructor(settings: UpstreamSettings, ports: UpstreamPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#pace = new DialPace(ports.clock);
    this.#forwardFaults = new CauseLog(ports.log, "port_forward_failed", ports.client.access);
    if (settings.upstream === "auto" && ports.client.cluster.source === SERVICE_ACCOUNT) this.#way = "slices";
  }

  /** Why no pod can be reached, where the pods themselves are not the cause. Clients may be told. */
  get fault(): string | undefined {
    return this.#forwardFaults.cause;
  }

  get isForwarding(): boolean {
    const { upstream } = this.#settings;
    return upstream === "port-forward" || (upstream === "auto" && this.#way === "port-forward");
  }

  dial(backend: Backend, signal: Abortable): Promise<Conn> {
    return this.#pace.run(() => this.#dial(backend, signal));
  }

  #dial(backend: Backend, signal: Abortable): Promise<Conn> {
    const { upstream } = this.#settings;
    if (upstream === "port-forward") return this.#forward(backend, signal);
    if (upstream !== "auto") return this.#direct(backend, upstream, signal);
    if (this.#ports.client.cluster.source === SERVICE_ACCOUNT) return this.#direct(backend, "slices", signal);
    return this.#way === "port-forward" ? this.#forwardAgain(backend, signal) : this.#choose(backend, signal);
  }

  /** By address if that works, else by port-forward. */
  async #choose(backend: Backend, signal: Abortable): Promise<Conn> {
    let direct: DialError;
    try {
      const limitMs = this.#way === "slices" ? undefined : PROBE_MS;
      const conn = await this.#direct(backend, "slices", signal, limitMs);
      this.#forwardFaults.succeeded();
      this.#chosen("slices", `${conn.remoteAddr.hostname} answers`);
      return conn;
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      // While the daemon starts, nothing listens; and a machine that is out of descriptors cannot try either way.
      if (error.isLocal || (error.isRefused && !backend.ready)) throw error;
      direct = error;
    }
    try {
      const conn = await this.#forward(backend, signal);
      this.#chosen("port-forward", direct.reason);
      return conn;
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      // The way is open to where nothing listens.
      if (error.cause instanceof PortForwardError) this.#chosen("port-forward", direct.reason);
      else this.#way = undefined;
      const message =
        `Cannot connect to ready pod "${backend.pod}": ${direct.reason}; nor by port-forward: ${error.reason}`;
      throw new DialError(message, error.isLocal, { cause: error.cause });
    }
  }

  /** By port-forward, as before; a fault that is not the pod's makes the next dial choose anew. */
  async #forwardAgain(backend: Backend, signal: Abortable): Promise<Conn> {
    try {
      return await this.#forward(backend, signal);
    } catch (error) {
      const isOfPod = error instanceof DialError &&
        (error.cause instanceof PortForwardError || error.cause instanceof ApiError);
      if (!isOfPod && !signal.aborted) this.#way = undefined;
      throw error;
    }
  }

  #chosen(way: Way, cause: string): void {
    this.#way = way;
    if (this.#told === way) return;
    this.#told = way;
    this.#ports.log.info("upstream_selected", { upstream: way, cause });
  }

  #direct(
    backend: Backend,
    upstream: "slices" | "dns",
    signal: Abortable,
    limitMs = this.#settings.connectTimeoutMs,
  ): Promise<Conn> {
    const { network, clock } = this.#ports;
    // Named one by one: the settings have some hundred more, which every dial would copy.
    const { targetPort, connectTimeoutMs, headlessServiceName, stsNamespace, clusterDomain } = this.#settings;
    const settings = {
      upstream,
      targetPort,
      connectTimeoutMs: Math.min(limitMs, connectTimeoutMs),
      headlessServiceName,
      stsNamespace,
      clusterDomain,
    };
    return dial(network, clock, backend, settings, signal);
  }

  async #forward({ pod }: Backend, signal: Abortable): Promise<Conn> {
    const { clock, client, log } = this.#ports;
    const { connectTimeoutMs, stsNamespace: namespace, targetPort: port } = this.#settings;
    using limit = deadline(
      clock,
      connectTimeoutMs,
      signal,
      () => new TimeoutError(`no answer within ${formatDurationMs(connectTimeoutMs)}`),
    );
    const { upstreamTls } = this.#ports;
    const onBroken = (error: Error) => log.warn("port_forward_broken", { pod, cause: messageOf(error) });
    const ports = { ...this.#ports, onBroken, clientSpeaksFirst: upstreamTls !== undefined };
    let isReached = false;
    const open = async () => {
      const conn = await openPortForward(client, { namespace, pod, port }, ports, limit.signal);
      isReached = true;
      return conn;
    };
    try {
      const conn = await (upstreamTls?.connect(open, limit.signal) ?? open());
      this.#forwardFaults.succeeded();
      return conn;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const isOfPod = isReached || error instanceof PortForwardError ||
        (error instanceof ApiError && error.status === 404);
      const said = error instanceof ApiError ? error.detail : messageOf(error);
      if (isOfPod) this.#forwardFaults.succeeded();
      else this.#forwardFaults.failed(error);
      throw new DialError(`Cannot connect to ready pod "${pod}" by port-forward: ${said}`, !isOfPod, {
        cause: error,
        reason: said,
      });
    }
  }
}
