/** A configuration that points into cloud metadata: the sidecar says so and does not start. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newDirectory, prepared, runEgret } from './sidecar-process.ts';
import { removeAfter } from './stage.ts';

void test('a place in cloud metadata ends the start with code 2 and the place in the file', async (t) => {
  const directory = removeAfter(t, newDirectory());
  const file = prepared(directory, {
    config: {
      upstream: { hosts: { 'tool.example:80': '169.254.169.254:80' } },
      tools: { sly: { url: 'http://[fd00:ec2::254]/' } },
    },
  });
  for (const options of [['--check'], []]) {
    const ended = await runEgret(['sidecar', '--config', file, ...options]);
    assert.equal(ended.code, 2, ended.stderr);
    const lines = ended.stderr.trim().split('\n');
    assert.deepEqual(
      lines.map((line) => line.slice(0, line.indexOf(': found'))),
      [`${file}: upstream.hosts.tool.example:80`, `${file}: tools.sly.url`],
    );
  }
});
