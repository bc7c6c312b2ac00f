/**
 * The demo is the product's whole job in one run, so it is a test: every step, every check, the exit code, and nothing
 * left behind but the audit log. Shell: owns a temporary directory and one child process.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { STORY } from '../../examples/receipts/story.ts';

const DEMO = join(import.meta.dirname, '../../examples/receipts/demo.ts');

void describe('the receipts demo', () => {
  const directory = mkdtempSync(join(tmpdir(), 'egret-demo-test-'));
  let output = '';
  let code: number | string | null | undefined = null;

  before(async () => {
    await new Promise<void>((resolve) => {
      const env = { ...process.env, TMPDIR: directory };
      execFile(process.execPath, [DEMO], { env, timeout: 130_000 }, (error, stdout, stderr) => {
        output = stdout + stderr;
        code = error === null ? 0 : error.code;
        resolve();
      });
    });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  void it('ends with exit code 0 and no failed check', () => {
    assert.equal(code, 0, output);
    assert.ok(!output.includes('✗'), output);
    assert.match(output, /^Everything as expected\.$/m);
  });

  for (const [index, { title, way, expected }] of STORY.entries()) {
    void it(`shows that "${title}" by ${way} is ${expected.outcome}: ${expected.rule ?? expected.reason}`, () => {
      const start = `✓${String(index + 1).padStart(3)}  ${title}`;
      const line = output.split('\n').find((one) => one.startsWith(start)) ?? '';
      const cells = line.slice(start.length).trim().split(/ {2,}/);
      const { outcome, reason, rule } = expected;
      assert.deepEqual(cells, [way, outcome, outcome, reason, ...(rule === null ? [] : [rule])]);
    });
  }

  void it('says that the mail service has the good messages and nothing else', () => {
    const good = STORY.filter(({ expected }) => expected.outcome === 'sent').length;
    assert.match(output, new RegExp(`^✓ the mail service has ${good} messages, exactly the`, 'm'));
    assert.match(output, new RegExp(`^✓ ${good} requests reached the mail service`, 'm'));
  });

  void it('verifies the audit log, and shows a record with its trace id and the metrics', () => {
    assert.match(output, /^✓ the audit log verifies$/m);
    assert.match(output, /^\$ egret audit verify /m);
    const traceId = /found by the trace id ([0-9a-f]{32})/.exec(output)?.[1];
    assert.ok(output.includes(`"trace_id": "${traceId}"`), output);
    assert.match(output, /^egret_calls_total\{decision="allow"\} [1-9]/m);
    assert.match(output, /^egret_calls_total\{decision="deny"\} [1-9]/m);
  });

  void it('leaves the audit log behind and nothing else', () => {
    const left = readdirSync(directory);
    assert.equal(left.length, 1, left.join());
    assert.ok(output.includes(`It stays in ${join(directory, left[0] ?? '')}`));
  });
});
