/**
 * Starts everything the interception table compares, or says what is missing and how to get it. Shell: owns nothing,
 * starts children.
 */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { type Children, freePorts, waitForPort } from './children.ts';
import type { Missing } from './contender.ts';
import {
  allowedMail,
  type Interceptor,
  type InterceptorKey,
  MAIL_HOST,
  refusedMail,
} from './interceptor.ts';
import { findProgram, versionOf } from './program.ts';
import { UPSTREAM_MARK } from './request.ts';
import { sidecarProgram, startSidecar } from './sidecar.ts';
import { findSquid, startSquid } from './squid.ts';
import { ask, openTls } from './tls-client.ts';
import type { TlsUpstream } from './tls-upstream.ts';

export interface InterceptionField {
  readonly children: Children;
  readonly directory: string;
  /** Folder with the policy bundle; null when there is none. */
  readonly bundleDirectory: string | null;
  readonly upstream: TlsUpstream;
}

type Entered = Interceptor | Missing;

const TITLES: Readonly<Record<InterceptorKey, string>> = {
  direct: 'direct to the upstream',
  egret: 'Egret',
  mitmproxy: 'mitmproxy',
  squid: 'Squid, ssl-bump',
};

const STARTERS: Readonly<Record<InterceptorKey, (field: InterceptionField) => Promise<Entered>>> = {
  direct: ({ upstream: { port, caFile } }) =>
    Promise.resolve({
      key: 'direct',
      title: TITLES.direct,
      version: '',
      target: { proxyPort: null, host: MAIL_HOST, port },
      caFile,
      children: [],
      decides: false,
    }),
  egret: enterEgret,
  mitmproxy: enterMitmproxy,
  squid: enterSquid,
};

const missing = (key: InterceptorKey, why: string, remedy: string, detail = ''): Missing => ({
  title: `${TITLES[key]}, interception`,
  why,
  remedy,
  detail,
});

/** Starts and checks one. Never throws: what does not work is `Missing` and says why. */
export async function enterInterceptor(
  field: InterceptionField,
  key: InterceptorKey,
): Promise<Entered> {
  try {
    const entered = await STARTERS[key](field);
    if (!('why' in entered)) await checkInterceptor(entered);
    return entered;
  } catch (error) {
    return missing(key, 'does not work', 'mend what the run prints', (error as Error).message);
  }
}

/**
 * That the client trusts the contender's own authority, the upstream answers, and where policy decides it refuses.
 * @returns bytes of a good answer.
 */
export async function checkInterceptor(contender: Interceptor): Promise<number> {
  const { title, target, decides } = contender;
  const before = (await contender.recorded?.()) ?? 0;
  const tls = await openTls(target, createSecureContext({ ca: readFileSync(contender.caFile) }));
  try {
    const good = await ask(tls, allowedMail(target));
    if (good.status !== 200 || !good.text.includes(UPSTREAM_MARK)) {
      throw new Error(`${title}: expected the upstream's result, got:\n${good.text}`);
    }
    const bad = await ask(tls, refusedMail(target));
    if (decides && bad.text.includes(UPSTREAM_MARK)) {
      throw new Error(`${title}: expected a refusal, got the upstream's result`);
    }
    const grown = ((await contender.recorded?.()) ?? 2) - before;
    if (grown < 2) throw new Error(`${title}: expected 2 decision records, got ${grown}`);
    return good.bytes;
  } finally {
    tls.destroy();
  }
}

async function enterEgret(field: InterceptionField): Promise<Entered> {
  const { bundleDirectory, upstream } = field;
  if (bundleDirectory === null) return missing('egret', 'no policy bundle', 'node rego/build.ts');
  const place = `${MAIL_HOST}:${upstream.port}`;
  const trustDirectory = join(field.directory, 'egret-trust');
  const sidecar = await startSidecar(field.children, {
    ...field,
    name: 'egret-tls',
    bundleDirectory,
    upstreamPort: upstream.port,
    durability: 'write',
    settings: {
      tls: { trustDirectory },
      upstream: {
        hosts: { [place]: `127.0.0.1:${upstream.port}` },
        caFiles: { [place]: upstream.caFile },
      },
    },
  });
  return {
    key: 'egret',
    title: TITLES.egret,
    version: `Node ${process.versions.node}, ${basename(sidecarProgram())}`,
    target: { proxyPort: sidecar.proxyPort, host: MAIL_HOST, port: upstream.port },
    caFile: join(trustDirectory, 'ca.crt'),
    children: [sidecar.child],
    decides: true,
    recorded: sidecar.recorded,
  };
}

async function enterMitmproxy({
  children,
  directory,
  upstream,
}: InterceptionField): Promise<Entered> {
  const program = findProgram('mitmdump');
  if (program === null) {
    return missing('mitmproxy', 'no mitmdump on PATH', 'apt-get install mitmproxy');
  }
  const [proxyPort] = (await freePorts(1)) as [number];
  const folder = join(directory, 'mitmproxy');
  const settings = [`confdir=${folder}`, `ssl_verify_upstream_trusted_ca=${upstream.caFile}`];
  const listen = ['--listen-host', '127.0.0.1', '--listen-port', String(proxyPort)];
  const args = ['--quiet', ...listen, ...settings.flatMap((setting) => ['--set', setting])];
  const child = children.start('mitmproxy', program, args);
  await waitForPort(child, proxyPort, 30_000);
  return {
    key: 'mitmproxy',
    title: TITLES.mitmproxy,
    version: `mitmproxy ${versionOf(program, ['--version'], /Mitmproxy: (\S+)/)}`,
    // It finds names through the machine's resolver only.
    target: { proxyPort, host: 'localhost', port: upstream.port },
    caFile: join(folder, 'mitmproxy-ca-cert.pem'),
    children: [child],
    decides: false,
  };
}

async function enterSquid({ children, upstream }: InterceptionField): Promise<Entered> {
  const programs = findSquid();
  if (programs === null) {
    const remedy = 'apt-get install squid-openssl openssl';
    return missing('squid', 'no Squid that opens TLS, or no openssl', remedy);
  }
  const [proxyPort] = (await freePorts(1)) as [number];
  const { child, caFile } = await startSquid(children, {
    programs,
    port: proxyPort,
    host: MAIL_HOST,
    upstreamCaFile: upstream.caFile,
  });
  return {
    key: 'squid',
    title: TITLES.squid,
    version: `Squid ${versionOf(programs.squid, ['-v'], /Version (\S+)/)}`,
    target: { proxyPort, host: MAIL_HOST, port: upstream.port },
    caFile,
    children: [child],
    decides: false,
  };
}
