/**
 * One request by hand: what a contender answers to the allowed and to the refused call, and that this is what the
 * benchmark means to measure. Shell: owns one socket per request.
 */
import { connect } from 'node:net';
import { findAnswer } from './answer.ts';
import type { Contender } from './contender.ts';
import { ALLOWED_BODY, REFUSED_BODY, renderRequest, UPSTREAM_MARK } from './request.ts';

const TIMEOUT_MS = 10_000;

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly bytes: number;
}

/** Posts one body. @throws when there is no whole answer in ten seconds. */
export function post(target: string, body: string): Promise<Reply> {
  const url = new URL(target);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port) });
    let pending: Buffer = Buffer.alloc(0);
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`${target}: no answer`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${target}: closed before a whole answer`)));
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      const answer = findAnswer(pending);
      if (answer === null) return;
      const text = pending.toString('utf8', 0, answer.end);
      resolve({ status: answer.status, text, bytes: answer.end });
      socket.destroy();
    });
    socket.write(renderRequest(url.host, url.pathname, body));
  });
}

export interface Checked {
  /** Bytes of a good answer with its headers. */
  readonly answerBytes: number;
}

/** @throws unless the allowed call is answered by the upstream and, where policy decides, the other one is refused. */
export async function check(contender: Contender): Promise<Checked> {
  const before = (await contender.recorded?.()) ?? 0;
  const good = await post(contender.url, ALLOWED_BODY);
  if (good.status !== 200 || !good.text.includes(UPSTREAM_MARK)) {
    throw new Error(`${contender.title}: expected the upstream's result, got:\n${good.text}`);
  }
  const bad = await post(contender.url, REFUSED_BODY);
  if (contender.decides && bad.text.includes(UPSTREAM_MARK)) {
    throw new Error(`${contender.title}: expected a refusal, got the upstream's result`);
  }
  if (contender.recorded !== undefined) {
    const grown = (await contender.recorded()) - before;
    if (grown < 2) throw new Error(`${contender.title}: expected 2 decision records, got ${grown}`);
  }
  return { answerBytes: good.bytes };
}
