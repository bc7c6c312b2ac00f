// The log as a reader of the file sees it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import {
  createLog,
  EVENT_LINES_PER_SECOND_MAX,
  FIELD_CHARS_MAX,
  type Log,
} from '../../src/telemetry/log.ts';
import type { Level } from '../../src/telemetry/log-event.ts';

interface Options {
  level?: Level;
  now?: () => number;
  onDropped?: (lines: number) => void;
}

/** Writes a log and returns its parsed lines. */
async function written(use: (log: Log) => void, options: Options = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'egret-log-'));
  try {
    const destination = join(directory, 'log.jsonl');
    const log = createLog({ level: 'info', ...options, destination });
    use(log);
    await log.close();
    const text = readFileSync(destination, 'utf8');
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('an event is one JSON line with its level, time, message and fields', async () => {
  const [line, ...rest] = await written((log) =>
    log.event('sidecar.listening', { listener: 'gateway', address: '127.0.0.1', port: 15010 }),
  );
  assert.deepEqual(rest, []);
  const { time, ...fields } = line ?? {};
  assert.match(String(time), /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
  assert.deepEqual(fields, {
    level: 'info',
    event: 'sidecar.listening',
    message: 'listening',
    listener: 'gateway',
    address: '127.0.0.1',
    port: 15010,
  });
});

test('events below the configured level are not written', async () => {
  const lines = await written(
    (log) => {
      log.event('call.allowed', { tool: 'gmail.send' });
      log.event('call.refused', { tool: 'gmail.send' });
      log.event('audit.failed', { op: 'fsync' });
    },
    { level: 'warn' },
  );
  assert.deepEqual(
    lines.map((line) => line['event']),
    ['audit.failed'],
  );
});

test('a field that the event does not declare, or of another type, is left out', async () => {
  const [line] = await written((log) => {
    log.event('call.refused', {
      tool: { name: 'x', headers: { authorization: 'Bearer abc' } },
      reason: 'policy.denied',
      arguments: { to: 'someone' },
      duration_seconds: Number.NaN,
      decision_id: null,
    } as never);
  });
  const { time, ...fields } = line ?? {};
  assert.ok(time);
  assert.deepEqual(fields, {
    level: 'info',
    event: 'call.refused',
    message: 'a call was refused',
    decision_id: null,
    reason: 'policy.denied',
  });
});

test('a planted credential does not reach the log', async () => {
  const secret = 'hunter2hunter2';
  const lines = await written((log) => {
    log.event('call.failed', { error: `401 for Authorization: Bearer ${secret}` });
    log.event('bundle.rejected', { error: `https://u:${secret}@bundles.example: 403` });
    log.event('call.refused', { tool: `x?api_key=${secret}` });
  });
  assert.equal(lines.length, 3);
  assert.ok(!JSON.stringify(lines).includes(secret), JSON.stringify(lines));
});

test('text is cut and control characters are shown', async () => {
  const [long, control] = await written((log) => {
    log.event('call.failed', { error: 'x'.repeat(10_000) });
    log.event('call.failed', { error: '\u001b[2J\n{"forged":true}' });
  });
  assert.equal(String(long?.['error']).length, FIELD_CHARS_MAX + 1);
  assert.equal(control?.['error'], '\\u001b[2J\\u000a{"forged":true}');
});

test('an event that repeats too often is thinned out, counted, and does not silence others', async () => {
  let at = 0;
  let dropped = 0;
  const lines = await written(
    (log) => {
      for (let n = 0; n < EVENT_LINES_PER_SECOND_MAX + 50; n += 1) log.event('call.refused', {});
      log.event('audit.failed', { op: 'write' });
      at = 1000;
      log.event('call.refused', {});
      for (let n = 0; n < EVENT_LINES_PER_SECOND_MAX + 6; n += 1) log.event('call.refused', {});
    },
    { now: () => at, onDropped: (count) => (dropped += count) },
  );
  const count = (event: string) => lines.filter((line) => line['event'] === event).length;
  assert.equal(count('call.refused'), 2 * EVENT_LINES_PER_SECOND_MAX);
  assert.equal(count('audit.failed'), 1);
  const suppressed = lines.filter((line) => line['event'] === 'log.suppressed');
  assert.deepEqual(
    suppressed.map((line) => [line['suppressed'], line['count']]),
    [
      ['call.refused', 50],
      ['call.refused', 7],
    ],
  );
  assert.equal(dropped, 57);
});

test('a destination that cannot be opened is an error at the start', () => {
  const destination = join(tmpdir(), 'egret-no-such-directory', 'log.jsonl');
  assert.throws(() => createLog({ level: 'info', destination }), { code: 'ENOENT' });
});

/** A process that logs four megabytes to its standard output, then says on standard error how many lines it lost. */
const FLOOD = `
import { createLog } from ${JSON.stringify(new URL('../../src/telemetry/log.ts', import.meta.url).href)};
import { EVENTS } from ${JSON.stringify(new URL('../../src/telemetry/log-event.ts', import.meta.url).href)};
let dropped = 0;
const log = createLog({ level: 'debug', onDropped: (lines) => { dropped += lines; } });
for (const [event, { fields }] of Object.entries(EVENTS)) {
  const text = Object.keys(fields).find((name) => fields[name] === 'text');
  for (let n = 0; n < 100; n += 1) log.event(event, { [text]: 'x'.repeat(2048) });
}
await log.close();
process.stderr.write(String(dropped) + '\\n');
setInterval(() => {}, 1000);
`;

for (const [what, read] of [
  ['does not read', (output: Readable) => output.pause()],
  ['went away', (output: Readable) => output.destroy()],
] as const) {
  test(`a reader that ${what} costs log lines, which are counted, and stops nothing`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOD]);
    read(child.stdout);
    const [dropped] = (await once(child.stderr.setEncoding('utf8'), 'data')) as [string];
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.match(dropped, /^[1-9][0-9]*\n$/);
  });
}
