/**
 * Somebody who talks to the API server of a test: with requests of our own, with kubectl, or with any client that takes
 * the kubeconfig. Shell: owns connections and one file.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { KeyPair } from './authority.ts';
import { programPath } from './programs.ts';

/** What tests read of an object or of a refusal. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: unknown;
  readonly items?: readonly KubeObject[];
  /** Of a refusal. */
  readonly reason?: string;
  readonly message?: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** The object, or the Status of a refusal; empty when the answer is not one JSON value, as that of a watch. */
  readonly body: KubeObject;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Caller {
  /** A file that kubectl and client-node take. */
  readonly kubeconfig: string;
  /** @param path from the root, e.g. `/api/v1/namespaces/default/configmaps`. */
  request(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<Answer>;
  /** @param input goes to its standard input, for `-f -`. */
  kubectl(args: readonly string[], input?: string): Promise<Ended>;
  close(): Promise<void>;
}

export type Credential = KeyPair | { readonly token: string };

/** It is created when it does not exist. */
export interface Account {
  readonly serviceAccount: string;
  readonly namespace: string;
}

interface CallerSetup {
  /** Of its file. */
  readonly name: string;
  readonly url: string;
  readonly authorityPem: string;
  readonly credential: Credential;
  /** Home of kubectl and of its cache. */
  readonly directory: string;
}

const run = promisify(execFile);
const KUBECTL_MS = 60_000;
const TOKEN_SECONDS = 3600;
const JSON_TYPE = 'application/json';

export function createCaller(setup: CallerSetup): Caller {
  const { url, authorityPem, credential, directory } = setup;
  const kubeconfig = join(directory, `${setup.name}.kubeconfig`);
  writeFileSync(kubeconfig, kubeconfigOf(setup), { mode: 0o600 });
  const agent = new Agent({ connect: { ca: authorityPem, ...ownCertificate(credential) } });
  const authorization: Record<string, string> =
    'token' in credential ? { authorization: `Bearer ${credential.token}` } : {};
  return {
    kubeconfig,
    async request(method, path, body, contentType = JSON_TYPE) {
      const answer = await request(`${url}${path}`, {
        dispatcher: agent,
        method,
        headers: { accept: JSON_TYPE, 'content-type': contentType, ...authorization },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      return { status: answer.statusCode, text, body: parsed(text) };
    },
    async kubectl(args, input) {
      const env = { PATH: process.env['PATH'], HOME: directory, KUBECONFIG: kubeconfig };
      const running = run(programPath('kubectl'), args, { env, timeout: KUBECTL_MS });
      running.child.stdin?.end(input);
      try {
        return { code: 0, ...(await running) };
      } catch (error) {
        const { code, stdout, stderr } = error as Error & Ended;
        if (typeof code === 'number') return { code, stdout, stderr };
        throw error;
      }
    },
    close: () => agent.destroy(),
  };
}

export async function requestToken(
  admin: Caller,
  { serviceAccount, namespace }: Account,
  audience?: string,
  pod?: { readonly name: string; readonly uid: string },
): Promise<string> {
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  const created = await admin.request('POST', accounts, { metadata: { name: serviceAccount } });
  if (created.status !== 201 && created.status !== 409) throw new Error(created.text);
  const audiences = audience === undefined ? [] : [audience];
  const { status, text, body } = await admin.request(
    'POST',
    `${accounts}/${serviceAccount}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds: TOKEN_SECONDS,
        audiences,
        ...(pod === undefined ? {} : { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', ...pod } }),
      },
    },
  );
  if (status !== 201) throw new Error(text);
  return (body.status as { token: string }).token;
}

export async function requestPodToken(
  admin: Caller,
  account: Account,
  audience: string,
): Promise<{ token: string; podUid: string }> {
  const { serviceAccount, namespace } = account;
  await requestToken(admin, account);
  const { status, text, body } = await admin.request(
    'POST',
    `/api/v1/namespaces/${namespace}/pods`,
    {
      metadata: { generateName: `${serviceAccount}-` },
      spec: { serviceAccountName: serviceAccount, containers: [{ name: 'agent', image: 'none' }] },
    },
  );
  if (status !== 201) throw new Error(text);
  const { name, uid } = body.metadata;
  return { token: await requestToken(admin, account, audience, { name, uid }), podUid: uid };
}

function ownCertificate(credential: Credential): { cert?: string; key?: string } {
  if ('token' in credential) return {};
  return { cert: credential.certificatePem, key: credential.keyPem };
}

function parsed(text: string): KubeObject {
  try {
    return JSON.parse(text) as KubeObject;
  } catch {
    return {} as KubeObject;
  }
}

/** JSON, which is YAML. */
function kubeconfigOf({ url, authorityPem, credential }: CallerSetup): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const user =
    'token' in credential
      ? { token: credential.token }
      : {
          'client-certificate-data': base64(credential.certificatePem),
          'client-key-data': base64(credential.keyPem),
        };
  const cluster = { server: url, 'certificate-authority-data': base64(authorityPem) };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'caller', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'caller' } }],
    'current-context': 'test',
  });
}
