/**
 * Access from a kubeconfig file, read by client-node: contexts, exec plugins, token files, client certificates. What
 * would weaken TLS is refused by name. Shell: reads the file, runs the exec plugin that it names.
 */
import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { delimiter } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { type Access, AccessError, type ApiTls, type Credential } from './access.ts';

/** @throws AccessError */
export function openKubeconfig(file: string, context?: string): Access {
  let config = load(file, context);
  const { server, namespace } = placeOf(config, file);
  let tls: ApiTls = {};
  return {
    server,
    namespace,
    async credential(): Promise<Credential> {
      const given = await optionsFrom(config, file);
      const next = tlsFrom(given);
      if (JSON.stringify(next) !== JSON.stringify(tls)) tls = next;
      return { headers: headersFrom(given), tls };
    },
    // client-node remembers what an exec plugin said until it expires; a fresh reading of the file asks it again.
    renew: () => {
      config = load(file, context);
    },
  };
}

/** Of several files the first says each name, as with kubectl; those that are not there are passed over. */
function load(file: string, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  const files = file.split(delimiter).filter((one) => one !== '');
  const there = files.length > 1 ? files.filter((one) => existsSync(one)) : files;
  try {
    const [first = file, ...others] = there;
    config.loadFromFile(first);
    for (const one of others) add(config, one);
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw new AccessError(`${file}: cannot be used: ${(error as Error).message}`, { cause: error });
  }
  return config;
}

/** client-node throws at a name that is there twice. */
function add(config: KubeConfig, file: string) {
  const more = new KubeConfig();
  more.loadFromFile(file);
  for (const one of more.clusters) if (config.getCluster(one.name) === null) config.addCluster(one);
  for (const one of more.users) if (config.getUser(one.name) === null) config.addUser(one);
  for (const one of more.contexts) {
    if (config.getContextObject(one.name) === null) config.addContext(one);
  }
  if (!config.currentContext) config.setCurrentContext(more.currentContext);
}

function placeOf(config: KubeConfig, file: string): { server: string; namespace: string | null } {
  const wrong = (path: string, expected: string) =>
    new AccessError(`${file}: ${path}: expected ${expected}`);
  const name = config.getCurrentContext();
  const context = config.getContextObject(name);
  if (context === null) {
    const known =
      config
        .getContexts()
        .map((one) => one.name)
        .join(', ') || 'none';
    throw wrong(
      'current-context',
      `the name of a context in the file, found ${name}; there are: ${known}`,
    );
  }
  const at = `clusters[${context.cluster}].cluster`;
  const cluster = config.getCluster(context.cluster);
  if (cluster === null) throw wrong(`contexts[${name}].context.cluster`, 'a cluster in the file');
  if (config.getUser(context.user) === null) {
    throw wrong(`contexts[${name}].context.user`, 'a user in the file');
  }
  if (cluster.skipTLSVerify) throw wrong(`${at}.insecure-skip-tls-verify`, 'false');
  if (cluster.proxyUrl !== undefined) throw wrong(`${at}.proxy-url`, 'none');
  const url = URL.parse(cluster.server);
  if (url?.protocol !== 'https:' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw wrong(`${at}.server`, 'an https URL without user and query');
  }
  return {
    server: `${url.origin}${url.pathname}`.replace(/\/+$/, ''),
    namespace: context.namespace ?? null,
  };
}

async function optionsFrom(config: KubeConfig, file: string): Promise<RequestOptions> {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const user = `users[${config.getCurrentUser()?.name}]`;
    const said = (error as Error).message.slice(0, 500);
    throw new AccessError(`${file}: ${user}: cannot authenticate: ${said}`, { cause: error });
  }
  return options;
}

function tlsFrom({ ca, cert, key, servername }: RequestOptions): ApiTls {
  return {
    ...(ca === undefined ? {} : { ca: String(ca) }),
    ...(cert === undefined ? {} : { cert: String(cert) }),
    ...(key === undefined ? {} : { key: String(key) }),
    ...(servername === undefined ? {} : { servername }),
  };
}

function headersFrom({ headers = {}, auth }: RequestOptions): Readonly<Record<string, string>> {
  const basic =
    typeof auth === 'string'
      ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }
      : {};
  const said = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]);
  return { ...basic, ...(Object.fromEntries(said) as Record<string, string>) };
}
