/**
 * Opens the access to the API server: inside of a pod with the files of its service account, else with a kubeconfig
 * file. TLS is always verified; plain HTTP is refused wherever the server is. The files of a pod are read
 * here and not by client-node: its configuration module costs 47 MB of memory (measured: 72.7 MB with undici and yaml,
 * 119.7 MB with `dist/config.js` besides, 121 MB with the whole client), and watching may add 20 MB to a sidecar.
 * It is loaded for kubeconfig files only. Shell: reads the token and the CA for each use, so a rotation is never missed.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Access, AccessError, type ApiTls, type Credential } from './access.ts';

export interface AccessOptions {
  /** Path of a kubeconfig file, or of several as in KUBECONFIG; without it the pod's service account. */
  readonly kubeconfig?: string | undefined;
  /** Context of the kubeconfig. Default the current one. */
  readonly context?: string | undefined;
  /** Default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default where Kubernetes mounts it. */
  readonly serviceAccountDirectory?: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** As in an Authorization header; a token of a service account is about 1 kB. */
const TOKEN = /^[A-Za-z0-9._~+/=-]{1,16384}$/;

/** @throws AccessError */
export async function openAccess(options: AccessOptions = {}): Promise<Access> {
  if (options.kubeconfig !== undefined) {
    const { openKubeconfig } = await import('./kubeconfig.ts');
    return openKubeconfig(options.kubeconfig, options.context);
  }
  return openServiceAccount(options);
}

async function openServiceAccount(options: AccessOptions): Promise<Access> {
  const directory = options.serviceAccountDirectory ?? SERVICE_ACCOUNT;
  const server = serverFrom(options.environment ?? process.env);
  const tokenFile = join(directory, 'token');
  const caFile = join(directory, 'ca.crt');
  const namespace = await readText(join(directory, 'namespace')).catch(() => null);
  let tls: ApiTls = {};
  const credential = async (): Promise<Credential> => {
    const token = (await readText(tokenFile)).trim();
    if (!TOKEN.test(token)) throw new AccessError(`${tokenFile}: expected a token`);
    const ca = await readText(caFile);
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) {
      throw new AccessError(`${caFile}: expected certificates in PEM`);
    }
    if (tls.ca !== ca) tls = { ca };
    return { headers: { authorization: `Bearer ${token}` }, tls };
  };
  await credential();
  return { server, namespace: namespace?.trim() ?? null, credential, renew: () => undefined };
}

function serverFrom(environment: Readonly<Record<string, string | undefined>>): string {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? '';
  if (!/^[A-Za-z0-9.:-]{1,253}$/.test(host) || !/^\d{1,5}$/.test(port)) {
    throw new AccessError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: expected the address of the API server, as in every pod; outside of a pod name a kubeconfig file',
    );
  }
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new AccessError(`${file}: cannot be read (${code})`, { cause: error });
  }
}
