/**
 * The environment variables by which programs find the certificates they trust. Programs that add to their own roots
 * get our authority alone, programs that replace them get the bundle with the public roots. Pure.
 */
import type { TrustFiles } from './trust.ts';

export type Environment = Readonly<Record<string, string>>;

/** @param options.java JAVA_TOOL_OPTIONS, too: every Java program then prints a line that says so. */
export function trustEnvironment(files: TrustFiles, options: { java: boolean }): Environment {
  const { ca, bundle, javaTrustStore } = files;
  return {
    // OpenSSL and what is built on it (Python, Ruby, wget), Go, Rust with native roots, .NET.
    SSL_CERT_FILE: bundle,
    REQUESTS_CA_BUNDLE: bundle,
    CURL_CA_BUNDLE: bundle,
    GIT_SSL_CAINFO: bundle,
    AWS_CA_BUNDLE: bundle,
    PIP_CERT: bundle,
    CARGO_HTTP_CAINFO: bundle,
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: bundle,
    CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE: bundle,
    NODE_EXTRA_CA_CERTS: ca,
    DENO_CERT: ca,
    // uv brings roots of its own unless it is told to use those of the system, then SSL_CERT_FILE.
    UV_NATIVE_TLS: '1',
    ...(options.java ? { JAVA_TOOL_OPTIONS: javaOptions(javaTrustStore) } : {}),
  };
}

/** A path with blanks is quoted, as Java reads this variable. */
function javaOptions(trustStore: string): string {
  const path = /\s/.test(trustStore) ? `"${trustStore}"` : trustStore;
  return `-Djavax.net.ssl.trustStore=${path} -Djavax.net.ssl.trustStoreType=PKCS12`;
}

/** `export NAME='value'` for a POSIX shell, one a line. */
export function renderEnvironment(environment: Environment): string {
  const quoted = (value: string) => `'${value.replaceAll("'", `'\\''`)}'`;
  return Object.entries(environment)
    .map(([name, value]) => `export ${name}=${quoted(value)}\n`)
    .join('');
}
