/**
 * Where the API server is and who asks it, whatever file says so. Pure.
 */

export interface ApiTls {
  /** PEM; the roots of the machine without it. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

export interface Credential {
  readonly headers: Readonly<Record<string, string>>;
  /** The same object as before until something in it changed. */
  readonly tls: ApiTls;
}

export interface Access {
  /** `https://host:port`, perhaps with a path, without a slash at its end. */
  readonly server: string;
  /** Of the pod, or of the context; null when neither says one. */
  readonly namespace: string | null;
  /** For the next request. @throws AccessError */
  credential(): Promise<Credential>;
  /** The server did not believe the credential: the next one must not come from a memory. */
  renew(): void;
}

/** Nobody can be asked, or not in this name; the message names the file and the place in it. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
}
