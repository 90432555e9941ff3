/**
 * A client certificate and key in two files, which another program may replace.
 *
 * @module
 */
import type { CachedFile } from "./cached_file.ts";
import type { Credential, Credentials } from "./credentials.ts";
import { isMismatch, type KeyPair } from "./pem.ts";

/** {@link Credentials} from certificate and key files. */
export class ClientCertificateFiles implements Credentials {
  readonly #cert: CachedFile;
  readonly #key: CachedFile;
  #last: KeyPair | undefined;

  /** Takes the two files. */
  constructor(cert: CachedFile, key: CachedFile) {
    this.#cert = cert;
    this.#key = key;
  }

  /** See {@link Credentials}. While only one of the two files has been replaced, this is the last pair. */
  async get(): Promise<Credential> {
    const cert = await this.#cert.read();
    const key = await this.#key.read();
    if (this.#last?.cert !== cert || this.#last.key !== key) {
      if (!isMismatch({ cert, key })) this.#last = { cert, key };
      else if (this.#last === undefined) {
        throw new Error("The client certificate and key do not match");
      }
    }
    return { headers: {}, clientCertificate: this.#last };
  }

  /** See {@link Credentials}. */
  refresh(): void {
    this.#cert.refresh();
    this.#key.refresh();
  }
}
