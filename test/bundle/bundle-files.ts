/** Bundles for tests: good ones with one compiled policy, and archives bent in one place. Pure, but for the compiler. */
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { BundleContent } from '../../src/bundle/activation.ts';
import { filesDigest } from '../../src/bundle/activation.ts';
import { compileRego } from '../decision/compiled-policy.ts';

/** Answers with what `data.config` holds, so that a mixture of two bundles would show. */
export const VERSIONED = `package egret

answer(allowed, outcome, code) := {"allowed": allowed, "outcome": outcome, "code": code, "message": concat("/", [data.config.first, data.config.second]), "reasons": [], "obligations": [], "warnings": []}

default decision := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "nothing", "reasons": [], "obligations": [], "warnings": []}
decision := answer(true, "allow", "policy.allowed") if input.tool == data.config.tool
`;

export const MANIFEST = {
  revision: 'r1',
  roots: ['egret', 'config'],
  wasm: [{ entrypoint: 'egret/decision', module: '/policy.wasm' }],
  rego_version: 1,
  metadata: { egret: { api_version: 'egret.dev/v1' } },
};

export type Files = Record<string, string | Uint8Array | object>;

/** A good bundle for `VERSIONED`, with `change` on top; null when the test was skipped. */
export function bundleFiles(t: TestContext, change: Files = {}): Map<string, Uint8Array> | null {
  const wasm = compileRego(t, [VERSIONED]);
  if (wasm === null) return null;
  const config = { first: 'a', second: 'a', tool: 'gmail.send' };
  return filesOf({
    '.manifest': MANIFEST,
    'policy.wasm': wasm,
    'data.json': { config },
    ...change,
  });
}

/** Objects become JSON; an empty text leaves the file out. */
export function filesOf(files: Files): Map<string, Uint8Array> {
  return new Map(
    Object.entries(files)
      .filter(([, content]) => content !== '')
      .map(([path, content]) => {
        if (content instanceof Uint8Array) return [path, content];
        return [path, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content))];
      }),
  );
}

export const contentOf = (files: ReadonlyMap<string, Uint8Array>): BundleContent => ({
  files,
  digest: filesDigest(files),
});

export interface TarEntry {
  readonly path: string;
  readonly content?: string | Uint8Array;
  /** ustar type flag. Default a plain file. */
  readonly kind?: string;
  readonly magic?: string;
}

/** A tar as OPA writes it. */
export function tarOf(entries: readonly TarEntry[], end = Buffer.alloc(1024)): Buffer {
  const blocks = entries.flatMap(({ path, content = '', kind = '0', magic = 'ustar\x0000' }) => {
    const body = Buffer.from(content as string);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000600\0', 100);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        ', 148);
    header.write(kind, 156);
    header.write(magic, 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, end]);
}

export const packed = (entries: readonly TarEntry[]): Buffer => gzipSync(tarOf(entries));
