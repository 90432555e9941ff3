/**
 * What the first call of a client says about it: where it was sent, and which build it belongs to. Pure.
 *
 * @module
 */
import type { HeaderField } from "./hpack_static.ts";

/** A call of an HTTP/2 client. */
export interface FirstCall {
  /** The method of gRPC: `/package.Service/Method`. */
  readonly path: string;
  /** What the client has dialled, as it says so: `host:port`, or `localhost`. */
  readonly authority: string | undefined;
  /** Of `traceparent`; the connections of one build share it. 32 digits in hex. */
  readonly traceId: string | undefined;
}

/** `traceparent` of version 00; later ones may go on after it. Source: W3C Trace Context, section 3.2. */
const TRACE_PARENT =
  /^(?!ff)(?<version>[\da-f]{2})-(?!0{32})(?<traceId>[\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?<more>-.*)?$/;

/** The call that these headers make; undefined if they make none. Source: RFC 9113, section 8.3.1. */
export function firstCallOf(fields: readonly HeaderField[]): FirstCall | undefined {
  const valuesOf = (name: string) => fields.filter((field) => field.name === name).map(({ value }) => value);
  const paths = valuesOf(":path");
  const authorities = valuesOf(":authority");
  const [path] = paths;
  if (path === undefined || paths.length > 1 || authorities.length > 1) return undefined;
  const traceParents = valuesOf("traceparent");
  const traceId = traceParents.length === 1 ? traceIdOf(traceParents[0]!) : undefined;
  return { path, authority: authorities[0], traceId };
}

/** Whether the client wants to be told of builds, now and in the future: Docker Desktop does, for as long as it runs. */
export function isWatcher({ path }: FirstCall): boolean {
  return path === "/moby.buildkit.v1.Control/ListenBuildHistory";
}

/**
 * Whether the client asks what it has before it: the first calls of clients that build, and of those of `buildx` that
 * watch (`loadData` in docker/buildx `builder/node.go`; its remote driver makes all calls on one connection).
 */
export function isLookUp({ path }: FirstCall): boolean {
  return path === "/moby.buildkit.v1.Control/ListWorkers" || path === "/moby.buildkit.v1.Control/Info";
}

/** Whether the client delivers traces of a build that is over. */
export function isTraceExport({ path }: FirstCall): boolean {
  return path === "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
}

function traceIdOf(traceParent: string): string | undefined {
  const { version, traceId, more } = TRACE_PARENT.exec(traceParent)?.groups ?? {};
  return version === "00" && more !== undefined ? undefined : traceId;
}
