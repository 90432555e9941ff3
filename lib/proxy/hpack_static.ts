/**
 * The header fields that every HTTP/2 peer knows by number. Data only. Source: RFC 7541, appendix A.
 *
 * @module
 */

/** A header field. Of names and values that are not ASCII only the length can be relied on. */
export interface HeaderField {
  /** Its name, as it was sent. */
  readonly name: string;
  /** Its value, as it was sent. */
  readonly value: string;
}

/** The fields from number 1 on, a line each: the name, and after a space the value, if it has one. */
const FIELDS = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

/** The static table; number 1 is its first entry. */
export const STATIC_TABLE: readonly HeaderField[] = FIELDS.trim().split("\n").map((line) => {
  const [name = "", ...words] = line.split(" ");
  return { name, value: words.join(" ") };
});
