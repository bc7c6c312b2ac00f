/** The configuration file: defaults, paths, and one clear message for each mistake. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError, loadConfig, parseConfig } from '../../src/config/load.ts';

const GOOD = `apiVersion: egret.dev/v1
kind: SidecarConfig
agent: {id: receipts-bot, environment: prod}
bundles:
  - {name: main, directory: ./bundles}
mcpServers:
  mail: {url: "http://127.0.0.1:7001/mcp"}
audit: {directory: ./audit, durability: {write: fsync, read: write}}
`;

test('a configuration with only the needed fields gets every default', () => {
  const config = parseConfig(GOOD, 'egret.yaml');
  assert.equal(config.listen.gateway.port, 15_010);
  assert.equal(config.listen.proxy.host, '127.0.0.1');
  assert.equal(config.enforcement, 'deny');
  assert.equal(config.limits.bodyBytesMax, 10_485_760);
  assert.deepEqual(config.upstream.plaintextPorts, [80]);
});

test('relative paths are relative to the file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'egret-config-'));
  try {
    writeFileSync(join(directory, 'egret.yaml'), GOOD);
    const config = loadConfig(join(directory, 'egret.yaml'));
    assert.equal(config.bundles[0]?.directory, join(directory, 'bundles'));
    assert.equal(config.audit.directory, join(directory, 'audit'));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

type Row = readonly [sentence: string, from: string, to: string, message: RegExp];

const BAD: readonly Row[] = [
  [
    'an unknown key',
    'audit: {',
    'audit: {color: red, ',
    /egret\.yaml:8:8: audit: found unknown key "color"/,
  ],
  [
    'a wrong value',
    'read: write',
    'read: wrte',
    /egret\.yaml:8:\d+: audit\.durability\.read: found "wrte", .*"fsync"\|"write"/,
  ],
  ['a wrong type', 'id: receipts-bot', 'id: [1]', /agent\.id: found \[1\], expected string/],
  ['a missing field', 'kind: SidecarConfig\n', '', /kind: found nothing/],
  ['another kind', 'kind: SidecarConfig', 'kind: Pod', /kind: found "Pod"/],
  ['a URL of another scheme', 'http://127', 'ftp://127', /mcpServers\.mail\.url: found "ftp:/],
  [
    'a URL with a password',
    'http://127',
    'http://u:p@127',
    /mcpServers\.mail\.url: .*expected no user info/,
  ],
  [
    'two bundles',
    '  - {name: main',
    '  - {name: other, directory: x}\n  - {name: main',
    /bundles: .*exactly one bundle/,
  ],
  [
    'a key that stands twice',
    'kind: SidecarConfig',
    'kind: SidecarConfig\nkind: SidecarConfig',
    /egret\.yaml:3:1: not valid YAML/,
  ],
  [
    'an alias',
    'kind: SidecarConfig',
    'kind: SidecarConfig\ntools: {a: &same {url: "http://a"}, b: *same}',
    /egret\.yaml: found a YAML alias/,
  ],
  ['text that is not YAML', 'agent: {', 'agent: {{', /egret\.yaml:\d+:\d+: not valid YAML/],
  [
    'a host of the capture that the redirect never leads to',
    'audit:',
    'capture: {hosts: ["10.0.0.1"]}\naudit:',
    /egret\.yaml:8:19: capture\.hosts\.0: found "10\.0\.0\.1", .*"127\.0\.0\.1"\|"::1"/,
  ],
  [
    'one port that listens for two',
    'audit:',
    'capture: {ports: {"80": 15080, "443": 15080}}\naudit:',
    /capture\.ports: found .*expected another port to listen on/,
  ],
  [
    'a port that is none',
    'audit:',
    'capture: {ports: {"99999": 15080}}\naudit:',
    /capture\.ports\.99999: found the key "99999", expected a TCP port/,
  ],
  [
    'source ports from last to first',
    'audit:',
    'capture: {probe: {sourcePorts: [15068, 15061]}}\naudit:',
    /capture\.probe\.sourcePorts: found \[15068,15061\], expected the first/,
  ],
  [
    'a server name that is no DNS label',
    '  mail:',
    '  Mail_1:',
    /mcpServers\.Mail_1: found the key "Mail_1", expected a DNS label/,
  ],
];

for (const [sentence, from, to, message] of BAD) {
  test(`${sentence} is refused with file, place, what was found and what was expected`, () => {
    const text = GOOD.replace(from, to);
    assert.notEqual(text, GOOD);
    assert.throws(
      () => parseConfig(text, 'egret.yaml'),
      (error) => error instanceof ConfigError && message.test(error.message),
      text,
    );
  });
}

test('the message about a URL with a password does not show the password', () => {
  const text = GOOD.replace('http://127', 'http://user:hunter2hunter2@127');
  assert.throws(
    () => parseConfig(text, 'egret.yaml'),
    (error) => error instanceof ConfigError && !error.message.includes('hunter2'),
  );
});

test('a file that cannot be read is named', () => {
  assert.throws(
    () => loadConfig('/nonexistent/egret.yaml'),
    /\/nonexistent\/egret\.yaml: cannot be read/,
  );
});

test('env:NAME reads the text of the file from a variable, relative to the working directory', () => {
  process.env['EGRET_TEST_CONFIG'] = GOOD;
  try {
    const config = loadConfig('env:EGRET_TEST_CONFIG');
    assert.deepEqual(config.mcpServers, parseConfig(GOOD, 'egret.yaml').mcpServers);
    assert.ok(config.audit.directory.startsWith(process.cwd()));
  } finally {
    delete process.env['EGRET_TEST_CONFIG'];
  }
  assert.throws(() => loadConfig('env:EGRET_TEST_CONFIG'), /env:EGRET_TEST_CONFIG: .*not set/);
});
