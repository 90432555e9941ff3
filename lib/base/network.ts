/**
 * The port to TCP. The real implementation is `lib/proxy/deno_network.ts`; the simulation has its own.
 *
 * @module
 */

/** The address of one end of a connection. */
export interface Address {
  /** A name, or an IP address without brackets. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** A TCP connection. Its errors are those of Deno: `ConnectionReset`, `BrokenPipe`, `BadResource` after `close`. */
export interface Conn {
  /** The address of the peer. */
  readonly remoteAddr: Address;
  /** The address that the peer has connected to, where it is known. */
  readonly localAddr?: Address | undefined;
  /** The name in the peer's certificate, if the peer has shown one and it was verified. */
  readonly peerName?: string | undefined;
  /** Whether a load balancer has made it without a client, to check the port. */
  readonly isProbe?: boolean | undefined;
  /**
   * Reads into `buffer`. Resolves to the number of bytes, or to `null` after the peer's FIN. Only `close` cancels it.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes` and resolves to their number. */
  write(bytes: Uint8Array): Promise<number>;
  /** Sends a FIN. Reading remains possible. */
  closeWrite(): Promise<void>;
  /** Closes the socket. Throws `BadResource` if called twice. */
  close(): void;
  /** Sends small writes at once (`TCP_NODELAY`). */
  setNoDelay(noDelay?: boolean): void;
  /** Asks the kernel to probe a silent peer (`SO_KEEPALIVE`). */
  setKeepAlive(keepAlive?: boolean): void;
}

/** A listening socket. */
export interface Listener {
  /** Where it listens, with the real port if 0 was requested. */
  readonly addr: Address;
  /** The next connection. Rejects with code `EMFILE` without free descriptors, and with `BadResource` after `close`. */
  accept(): Promise<Conn>;
  /** Stops listening. Pending `accept` calls reject. */
  close(): void;
}

/** Listens and connects. */
export interface Network {
  /** Starts to listen. @throws Deno.errors.AddrInUse and the like */
  listen(address: Address): Listener;
  /** Connects. Rejects with the reason of `signal` if that is aborted first. */
  connect(address: Address, signal: AbortSignal): Promise<Conn>;
}

/**
 * `host:port`, with brackets around an IPv6 host. An IPv4 client of an IPv6 socket has its IPv4 address (RFC 4291, section
 * 2.5.5.2).
 */
export function formatAddress({ hostname: given, port }: Address): string {
  const hostname = given.replace(/^::ffff:(?=\d+\.)/, "");
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
