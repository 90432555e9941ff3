/**
 * What passes from the hold of a session to its relay. Types only.
 *
 * @module
 */
import type { CallTap } from "./call_tap.ts";
import type { Http2Opening } from "./http2_opening.ts";

/** What a hold hands to the relay. */
export interface HandOver {
  /** What the client has sent, in order; the relay takes them out. */
  readonly chunks: Uint8Array[];
  /** The read that is still under way: its bytes come next. `null` is the client's FIN. */
  readonly pending: Promise<Uint8Array | null> | undefined;
  /** The client has sent a FIN: nothing comes after the chunks. */
  readonly ended: boolean;
  /** Resolves when all that the hold had to say to the client is written: the daemon's bytes come after it. */
  readonly written: Promise<void>;
  /** Takes out of the client's bytes what was not meant for the daemon; until it is blind, all bytes must go through. */
  readonly opening: Pick<Http2Opening, "blind" | "take">;
  /** Listens to the client's calls. It has taken the chunks, and takes what `opening` takes. */
  readonly tap?: CallTap | undefined;
}
