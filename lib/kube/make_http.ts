/**
 * Chooses between the two HTTP implementations.
 *
 * @module
 */
import { type ClientHttp, type Connection, needsTls } from "./connection.ts";
import { FetchHttp } from "./fetch_http.ts";
import { TlsHttp } from "./tls_http.ts";

/** HTTP over `fetch` if it can make the connection, otherwise over `node:tls`. */
export function makeHttp(connection: Connection): ClientHttp {
  return needsTls(connection) ? new TlsHttp(connection) : new FetchHttp(connection);
}
