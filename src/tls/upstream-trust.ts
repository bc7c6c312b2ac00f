/**
 * Whose certificates are believed at which destination: the roots of the machine or of one file everywhere, and where a
 * destination is pinned, that file alone. The name is always checked, against the host that policy decided on, whatever
 * name the connection itself would use. Shell: reads the files once, owns the TLS contexts.
 */
import { isIP } from 'node:net';
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls';
import { loadRoots, readRoots } from './roots.ts';

export interface UpstreamTrustOptions {
  /** PEM file; the roots of the machine without it. */
  readonly rootsFile: string | undefined;
  /** `host:port` to PEM file; the host is a name, an address (IPv6 in brackets) or `*.name`. */
  readonly caFiles: Readonly<Record<string, string>>;
}

/** Options for `tls.connect`, `http2.connect` and undici's `buildConnector`; nothing may override them. */
export interface UpstreamTls {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: true;
  /** Empty for an address: a server name must not be one (RFC 6066 section 3). */
  readonly servername: string;
  readonly checkServerIdentity: (name: string, certificate: PeerCertificate) => Error | undefined;
}

export interface UpstreamTrust {
  /** @param host lower case, IPv6 without brackets, as `parseAuthority` writes it. */
  tlsFor(host: string, port: number): UpstreamTls;
  /** What is trusted where nothing is pinned, one PEM text each. */
  readonly roots: readonly string[];
}

/** @throws RootsError that names the file, before anything is listened on. */
export function createUpstreamTrust({ rootsFile, caFiles }: UpstreamTrustOptions): UpstreamTrust {
  const roots = loadRoots(rootsFile);
  const everywhere = clientContext(roots);
  const pinned = new Map(
    Object.entries(caFiles).map(([place, file]) => [place, clientContext(readRoots(file))]),
  );
  return {
    roots,
    tlsFor: (host, port) => ({
      secureContext: contextOf(pinned, host, port) ?? everywhere,
      rejectUnauthorized: true,
      servername: isIP(host) === 0 ? host : '',
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    }),
  };
}

/** The pin for the host itself, else the one for the nearest name above it. */
function contextOf(
  pinned: ReadonlyMap<string, SecureContext>,
  host: string,
  port: number,
): SecureContext | undefined {
  const exact = pinned.get(`${host.includes(':') ? `[${host}]` : host}:${port}`);
  if (exact !== undefined || isIP(host) !== 0) return exact;
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const wild = pinned.get(`*${host.slice(dot)}:${port}`);
    if (wild !== undefined) return wild;
  }
  return undefined;
}

/** One context for all destinations with the same roots: reading a hundred roots takes longer than a handshake. */
const clientContext = (ca: readonly string[]): SecureContext =>
  createSecureContext({ ca: [...ca], minVersion: 'TLSv1.2' });

/** OpenSSL's verification results (X509_V_ERR_*) and Node's own for a name that does not fit. */
const CERTIFICATE_ERRORS: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CRL_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
  'UNSPECIFIED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
]);

/**
 * True when a connection failed because the server's certificate is not valid for the host: `upstream.certificate_invalid`.
 * Any other failure of TLS is a failure to connect.
 */
export function isCertificateError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && CERTIFICATE_ERRORS.has(code);
}
