/**
 * The load generator used when wrk is not installed: N keep-alive connections, one request under way on each, for a
 * number of seconds; prints one line of JSON. A process of its own: node bench/load.ts URL CONNECTIONS SECONDS BODYFILE.
 * Shell: owns its sockets.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { findAnswer } from './answer.ts';
import { renderRequest } from './request.ts';

const LATENCIES_MAX = 8_000_000;

interface Tally {
  readonly latenciesUs: Float64Array;
  requests: number;
  bytes: number;
  errors: number;
}

const nowUs = () => Number(process.hrtime.bigint()) / 1000;

/** Sends on one connection until the deadline; a broken connection counts one error and ends. */
function drive(url: URL, request: Buffer, deadlineUs: number, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    let sentUs = 0;
    let pending: Buffer = Buffer.alloc(0);
    let finished = false;
    const finish = (failed: boolean) => {
      if (finished) return;
      finished = true;
      if (failed) tally.errors += 1;
      socket.destroy();
      resolve();
    };
    const send = () => {
      sentUs = nowUs();
      socket.write(request);
    };
    socket.on('connect', send);
    socket.on('data', (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const answer = findAnswer(pending);
      if (answer === null) return;
      const now = nowUs();
      if (answer.status !== 200) tally.errors += 1;
      if (tally.requests < LATENCIES_MAX) tally.latenciesUs[tally.requests] = now - sentUs;
      tally.requests += 1;
      tally.bytes += answer.end;
      pending = pending.subarray(answer.end);
      if (now >= deadlineUs) finish(false);
      else send();
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
  });
}

async function main(): Promise<void> {
  const [target, connections, seconds, bodyFile] = process.argv.slice(2);
  if (target === undefined || bodyFile === undefined) {
    throw new Error('usage: node bench/load.ts URL CONNECTIONS SECONDS BODYFILE');
  }
  const url = new URL(target);
  const request = renderRequest(url.host, url.pathname, readFileSync(bodyFile, 'utf8'));
  const tally = { latenciesUs: new Float64Array(LATENCIES_MAX), requests: 0, bytes: 0, errors: 0 };
  const startUs = nowUs();
  const deadlineUs = startUs + Number(seconds) * 1e6;
  const drivers = Array.from({ length: Number(connections) }, () =>
    drive(url, request, deadlineUs, tally),
  );
  await Promise.all(drivers);
  const durationUs = Math.round(nowUs() - startUs);
  const sorted = tally.latenciesUs.subarray(0, Math.min(tally.requests, LATENCIES_MAX)).sort();
  const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const { requests, bytes, errors } = tally;
  const percentiles = { p50Us: at(0.5), p90Us: at(0.9), p99Us: at(0.99) };
  console.log(JSON.stringify({ requests, durationUs, bytes, errors, ...percentiles }));
}

await main();
