/**
 * Chooses between the two ways to speak HTTP with an API server.
 *
 * @module
 */
import { type ClientHttp, type Connection, needsTls } from "./connection.ts";
import { FetchHttp } from "./fetch_http.ts";
import { TlsHttp } from "./tls_http.ts";

/** HTTP over `fetch` where it can do what is asked, over `node:tls` otherwise. */
export function makeHttp(connection: Connection): ClientHttp {
  return needsTls(connection) ? new TlsHttp(connection) : new FetchHttp(connection);
}
