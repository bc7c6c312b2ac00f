/** The catalogue: what its file may say, which entry a call matches, and how mistakes are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalogue } from '../../src/call/catalogue.ts';
import { CatalogueError, mergeCatalogues, parseCatalogue } from '../../src/call/catalogue.ts';
import type { HttpQuery } from '../../src/call/tool-match.ts';
import { matchHttp, matchMcp } from '../../src/call/tool-match.ts';

const head = 'apiVersion: egret.dev/v1\nkind: ToolCatalogue\ntools:\n';
const entry = (name: string, rest: string) =>
  `  - {name: ${name}, operation: read, risk: low, ${rest}}\n`;
const http = (name: string, path: string, rest = '') =>
  entry(name, `http: {hosts: [api.example.com], methods: [GET, POST], path: "${path}"${rest}}`);
const catalogue = (...entries: string[]) => parseCatalogue(head + entries.join(''), 'tools.yaml');

function found(tools: Catalogue, target: string, changes: Partial<HttpQuery> = {}): string {
  const match = matchHttp(tools, {
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    server: null,
    method: 'GET',
    segments: target.slice(1).split('/'),
    mediaType: null,
    ...changes,
  });
  return match.kind === 'found' ? `${match.entry.name} ${JSON.stringify(match.path)}` : match.kind;
}

void test('an entry matches by host, method and path, and gives the path parameters', () => {
  const tools = catalogue(http('files.get', '/files/{id}/content'));
  assert.equal(found(tools, '/files/a b/content'), 'files.get {"id":"a b"}');
  assert.equal(found(tools, '/files/7/content', { method: 'POST' }), 'files.get {"id":"7"}');
  for (const [target, changes] of [
    ['/files/7/content', { method: 'PUT' }],
    ['/files/7/content', { host: 'example.com' }],
    ['/files/7/content', { host: 'x.api.example.com' }],
    ['/files/7', {}],
    ['/files//content', {}],
    ['/files/7/content/', {}],
    ['/Files/7/content', {}],
    ['/files/7/8/content', {}],
  ] as const) {
    assert.equal(found(tools, target, changes), 'unknown', `${target} ${JSON.stringify(changes)}`);
  }
});

void test('a literal segment wins over a template, whatever the order', () => {
  const entries = [http('any', '/{a}/{b}'), http('one', '/x/{b}'), http('both', '/x/y')];
  for (const order of [entries, entries.toReversed()]) {
    const tools = catalogue(...order);
    assert.equal(found(tools, '/x/y'), 'both {}');
    assert.equal(found(tools, '/x/z'), 'one {"b":"z"}');
    assert.equal(found(tools, '/w/y'), 'any {"a":"w","b":"y"}');
  }
});

void test('an exact host wins over a wildcard, and a longer wildcard over a shorter one', () => {
  const at = (name: string, host: string) =>
    entry(name, `http: {hosts: ["${host}"], methods: [GET], path: /}`);
  const tools = catalogue(at('short', '*.org'), at('long', '*.b.org'), at('exact', 'a.b.org'));
  assert.equal(found(tools, '/', { host: 'a.b.org' }), 'exact {}');
  assert.equal(found(tools, '/', { host: 'z.b.org' }), 'long {}');
  assert.equal(found(tools, '/', { host: 'z.org' }), 'short {}');
  assert.equal(found(tools, '/', { host: 'b.org' }), 'short {}');
  assert.equal(found(tools, '/', { host: 'org' }), 'unknown');
  assert.equal(found(tools, '/', { host: 'evilb.org.example' }), 'unknown');
});

void test('scheme, port and content type narrow an entry', () => {
  const tools = catalogue(
    http('json', '/a', ', content_types: [application/json], schemes: [https], ports: [443]'),
    http('any', '/a'),
  );
  const json = { mediaType: 'application/json' };
  assert.equal(found(tools, '/a', json), 'json {}');
  assert.equal(found(tools, '/a'), 'any {}');
  assert.equal(found(tools, '/a', { ...json, scheme: 'http' }), 'any {}');
  assert.equal(found(tools, '/a', { ...json, port: 8443 }), 'any {}');
});

void test('an entry for a configured server matches its route only', () => {
  const tools = catalogue(entry('crm.read', 'http: {servers: [crm], methods: [GET], path: /a}'));
  assert.equal(found(tools, '/a', { server: 'crm' }), 'crm.read {}');
  assert.equal(found(tools, '/a', { server: 'erp' }), 'unknown');
  assert.equal(found(tools, '/a'), 'unknown');
});

void test('equally specific entries are ambiguous unless they mean the same', () => {
  assert.equal(found(catalogue(http('a', '/x/{b}'), http('b', '/x/{b}')), '/x/1'), 'ambiguous');
  assert.equal(found(catalogue(http('a', '/x/{b}'), http('a', '/x/{c}')), '/x/1'), 'ambiguous');
  assert.equal(found(catalogue(http('a', '/x/{b}'), http('a', '/x/{b}')), '/x/1'), 'a {"b":"1"}');
});

void test('entries of the bundle win over built-in ones', () => {
  const builtIn = catalogue(http('built.in', '/a/b'), http('built.only', '/c'));
  const merged = mergeCatalogues(builtIn, catalogue(http('bundle', '/a/{x}')));
  assert.equal(found(merged, '/a/b'), 'bundle {"x":"b"}');
  assert.equal(found(merged, '/c'), 'built.only {}');
});

void test('an MCP tool matches by server and name, and a named server wins', () => {
  const tools = catalogue(
    entry('any.send', 'mcp: {tools: [send, send_email]}'),
    entry('gmail.send', 'mcp: {servers: [mail], tools: [send_email]}'),
  );
  const name = (server: string, tool: string) => {
    const match = matchMcp(tools, server, tool);
    return match.kind === 'found' ? match.entry.name : match.kind;
  };
  assert.equal(name('mail', 'send_email'), 'gmail.send');
  assert.equal(name('other', 'send_email'), 'any.send');
  assert.equal(name('mail', 'send'), 'any.send');
  assert.equal(name('mail', 'Send'), 'unknown');
  assert.equal(name('mail', 'constructor'), 'unknown');
});

const WRONG: [sentence: string, text: string, expected: RegExp][] = [
  ['broken YAML', 'tools: [', /^t\.yaml:1:\d+: not valid YAML/],
  ['a repeated key', `${head}  []\nkind: ToolCatalogue`, /t\.yaml:5:1: not valid YAML/],
  ['an alias', `${head}  - &a {name: x}\n  - *a`, /alias/i],
  [
    'another kind',
    'apiVersion: egret.dev/v1\nkind: Other\ntools: []',
    /t\.yaml:2:7: kind: found "Other", expected "ToolCatalogue"/,
  ],
  ['an empty file', '', /t\.yaml: \(document\): found nothing|expected object/],
  [
    'an unknown key',
    head + entry('a', 'http: {hosts: [a.b], methods: [GET], path: /, pth: /}'),
    /t\.yaml:4:\d+: tools\.0\.http: found unknown key "pth", expected only documented keys/,
  ],
  [
    'a wrong operation',
    `${head}  - {name: a, operation: destroy, risk: low, mcp: {tools: [x]}}`,
    /tools\.0\.operation: found "destroy", expected one of/,
  ],
  [
    'neither http nor mcp',
    `${head}  - {name: a, operation: read, risk: low}`,
    /tools\.0: found .*, expected exactly one of http and mcp/,
  ],
  [
    'a URL as host',
    head + entry('a', 'http: {hosts: ["https://a.b"], methods: [GET], path: /}'),
    /hosts\.0: found "https:\/\/a\.b", expected a lower-case host/,
  ],
  [
    'an upper-case host',
    head + entry('a', 'http: {hosts: [A.b], methods: [GET], path: /}'),
    /hosts\.0: found "A\.b"/,
  ],
  [
    'a wildcard inside a host',
    head + entry('a', 'http: {hosts: ["a.*.b"], methods: [GET], path: /}'),
    /hosts\.0/,
  ],
  [
    'a wildcard for everything',
    head + entry('a', 'http: {hosts: ["*"], methods: [GET], path: /}'),
    /hosts\.0/,
  ],
  [
    'hosts and servers',
    head + entry('a', 'http: {hosts: [a.b], servers: [s], methods: [GET], path: /}'),
    /expected exactly one of hosts and servers/,
  ],
  [
    'a path without slash',
    head + entry('a', 'http: {hosts: [a.b], methods: [GET], path: x}'),
    /path: found "x", expected a path/,
  ],
  [
    'half a template',
    head + entry('a', 'http: {hosts: [a.b], methods: [GET], path: "/x{id}"}'),
    /expected a path/,
  ],
  [
    'a template twice',
    head + entry('a', 'http: {hosts: [a.b], methods: [GET], path: "/{id}/{id}"}'),
    /expected a path/,
  ],
  [
    'a method in lower case',
    head + entry('a', 'http: {hosts: [a.b], methods: [get], path: /}'),
    /methods\.0: found "get", expected one of/,
  ],
  [
    'MCP arguments from a query',
    head + entry('a', 'mcp: {tools: [x]}, arguments: {from: [query]}'),
    /arguments: found .*expected from: \[mcp\]/,
  ],
  [
    'an MCP body as mail',
    head + entry('a', 'mcp: {tools: [x]}, arguments: {from: [mcp], mail: {body: true}}'),
    /arguments/,
  ],
  [
    'mail in two places',
    head + entry('a', 'mcp: {tools: [x]}, arguments: {from: [mcp], mail: {raw: /a, fields: {}}}'),
    /expected exactly one of raw, body and fields/,
  ],
  [
    'a pointer without slash',
    head + entry('a', 'mcp: {tools: [x]}, arguments: {from: [mcp], mail: {raw: a}}'),
    /raw: found "a", expected a JSON pointer/,
  ],
];

for (const [sentence, text, expected] of WRONG) {
  void test(`a catalogue with ${sentence} is one clear error`, () => {
    assert.throws(
      () => parseCatalogue(text, 't.yaml'),
      (error) => {
        assert.ok(error instanceof CatalogueError);
        assert.match(error.message, expected);
        assert.match(error.message, /^t\.yaml/);
        return true;
      },
    );
  });
}
