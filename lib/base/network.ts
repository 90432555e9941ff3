/**
 * The port to TCP. `Deno.listen` and `Deno.connect` are its real implementation; the simulation brings its own.
 *
 * @module
 */

/** One end's address. */
export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/** A TCP connection. Errors are Deno's: `ConnectionReset`, `BrokenPipe`, `BadResource` after `close`. */
export interface Conn {
  readonly remoteAddr: Address;
  /** Reads into `buffer`: the number of bytes, or `null` when the peer has sent its FIN. Only `close` cancels it. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes` and says how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Sends a FIN: nothing more will be written, reading goes on. */
  closeWrite(): Promise<void>;
  /** Frees the socket. Throws `BadResource` when called twice. */
  close(): void;
  setNoDelay(noDelay?: boolean): void;
  setKeepAlive(keepAlive?: boolean): void;
}

/** A listening socket. */
export interface Listener {
  readonly addr: Address;
  accept(): Promise<Conn>;
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
