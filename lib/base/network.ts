/**
 * The port to TCP. `Deno.listen` and `Deno.connect` are its real implementation; the simulation brings its own.
 *
 * @module
 */

/** One end's address. */
export interface Address {
  /** A name, or an IP address without brackets. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** A TCP connection. Errors are Deno's: `ConnectionReset`, `BrokenPipe`, `BadResource` after `close`. */
export interface Conn {
  /** The other end. */
  readonly remoteAddr: Address;
  /** Reads into `buffer`: the number of bytes, or `null` when the peer has sent its FIN. Only `close` cancels it. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes` and says how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Sends a FIN: nothing more will be written, reading goes on. */
  closeWrite(): Promise<void>;
  /** Frees the socket. Throws `BadResource` when called twice. */
  close(): void;
  /** Sends small writes at once (`TCP_NODELAY`). */
  setNoDelay(noDelay?: boolean): void;
  /** Asks the kernel to probe a silent peer (`SO_KEEPALIVE`). */
  setKeepAlive(keepAlive?: boolean): void;
}

/** A listening socket. */
export interface Listener {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly addr: Address;
  /** The next connection. Rejects with code `EMFILE` when descriptors ran out, with `BadResource` once closed. */
  accept(): Promise<Conn>;
  /** Stops listening; waiting `accept` calls reject. */
  close(): void;
}

/** Where connections come from and go to. */
export interface Network {
  /** Listens at once. @throws Deno.errors.AddrInUse and the like */
  listen(address: Address): Listener;
  /** Connects, or rejects with the reason of `signal`. */
  connect(address: Address, signal: AbortSignal): Promise<Conn>;
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({ hostname, port }: Address): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
