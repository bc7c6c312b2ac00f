/** The etcd of a control plane, through its JSON gateway. Shell: owns connections. */
import { Agent, request } from 'undici';
import type { KeyPair } from './authority.ts';

export interface Store {
  readonly url: string;
  isReady(): Promise<boolean>;
  /** Forgets all history: every resourceVersion that anybody has seen is too old afterwards. */
  compactAll(): Promise<void>;
  close(): Promise<void>;
}

/** Outside of what the API server keeps. */
const OWN_KEY = Buffer.from('/egret-test/revision').toString('base64');
/** A watch may still start right behind the compacted revision. */
const REVISIONS_AHEAD = 2;

export function createStore(url: string, authorityPem: string, client: KeyPair): Store {
  const { certificatePem: cert, keyPem: key } = client;
  const dispatcher = new Agent({ connect: { ca: authorityPem, cert, key } });
  const call = async (path: string, body: unknown) => {
    const answer = await request(`${url}${path}`, {
      dispatcher,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`etcd: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as { header: { revision: string } };
  };
  return {
    url,
    async isReady() {
      const { statusCode, body } = await request(`${url}/health`, { dispatcher });
      await body.dump();
      return statusCode === 200;
    },
    async compactAll() {
      let revision = '0';
      for (let ahead = 0; ahead < REVISIONS_AHEAD; ahead += 1) {
        const put = await call('/v3/kv/put', { key: OWN_KEY, value: '' });
        revision = put.header.revision;
      }
      await call('/v3/kv/compaction', { revision, physical: true });
    },
    close: () => dispatcher.destroy(),
  };
}
