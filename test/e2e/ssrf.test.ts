/**
 * Ways to lead a permitted call astray: a tool that redirects, a name that moves between two calls, answers that mix, a
 * name server that says what the agent's own DNS says. A real name server and real tools on loopback; what is "inside"
 * is an address that the configuration does not open.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { type NameReply, type Question, startNameServer } from '../proxy/name-server.ts';
import { eventually } from './agent.ts';
import { assertPaired, decisionsOf, outcomeOf, readLeaves } from './audit-log.ts';
import { auditOf, stageSidecar, stageTool } from './stage.ts';
import { exchange, type WireAnswer } from './wire.ts';

const ask = (port: number, authority: string, path = '/'): Promise<WireAnswer> =>
  exchange(
    port,
    `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`,
    { untilClosed: true },
  );

const tunnel = (port: number, authority: string): Promise<WireAnswer> =>
  exchange(port, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\nhello\r\n\r\n`, {
    untilClosed: true,
  });

const reasonOf = (answer: WireAnswer) => answer.headers.get('x-egret-reason');

const FORBIDDEN = [
  '169.254.169.254',
  '[fd00:ec2::254]',
  'metadata.google.internal',
  'localhost',
  '127.0.0.1',
  '[::1]',
  '[::ffff:7f00:1]',
  '[64:ff9b::a9fe:a9fe]',
  '10.0.0.1',
  '0.0.0.0',
  'kubernetes.default.svc',
];

void test('a redirect is handed to the agent, and to follow it is a call of its own', async (t) => {
  const places = [...FORBIDDEN, 'user@10.0.0.1', '2852039166', '0xa9fea9fe', '127.1'];
  const tool = await stageTool(t, ({ url }, response) => {
    const [, status = '', index = ''] = url.split('/');
    const location = `http://${places[Number(index)]}/latest/meta-data/`;
    response.writeHead(Number(status), { location }).end('elsewhere');
  });
  const upstream = { hosts: { 'tool.example:80': `127.0.0.1:${tool.port}` } };
  const sidecar = await stageSidecar(t, { config: { enforcement: 'dryrun', upstream } });
  let calls = 0;
  for (const [index, place] of places.entries()) {
    const status = [301, 302, 303, 307, 308][index % 5] as number;
    const redirected = await ask(sidecar.ports.proxy, 'tool.example', `/${status}/${index}`);
    assert.equal(redirected.status, status);
    const location = redirected.headers.get('location') ?? '';
    assert.equal(location, `http://${place}/latest/meta-data/`);
    const followed = await ask(sidecar.ports.proxy, place, '/latest/meta-data/');
    const parsed = FORBIDDEN.includes(place);
    assert.equal(
      reasonOf(followed),
      parsed ? 'upstream.address_denied' : 'call.bad_authority',
      place,
    );
    calls += 2;
    assert.equal(tool.received.length, calls / 2, 'one call at the tool for each the agent made');
  }
  assert.equal(decisionsOf(readLeaves(auditOf(sidecar))).length, calls);
  assert.equal(await sidecar.stop(), 0);
  assertPaired(readLeaves(auditOf(sidecar)));
});

/** A tool on an opened address, another behind the same port of an address that is not, and names for both. */
async function stageNames(t: TestContext, answer: (question: Question) => NameReply) {
  const tool = await stageTool(t);
  const inside = { reached: 0 };
  const server = createServer((_, response) => {
    inside.reached += 1;
    response.end('inside');
  });
  server.on('connection', () => {
    inside.reached += 1;
  });
  server.listen(tool.port, '127.0.0.2');
  await once(server, 'listening');
  t.after(() => server.close());
  const names = await startNameServer(answer);
  t.after(() => names.close());
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: 'dryrun',
      upstream: {
        privateAddresses: ['127.0.0.1/32', '198.18.0.0/15'],
        ports: [tool.port],
        dnsServers: [names.address],
      },
      capture: { hosts: ['127.0.0.1'], ports: {}, dns: { port: 0 } },
    },
  });
  return { tool, inside, names, sidecar };
}

void test('a name that moves inside after its first call is refused at the second', async (t) => {
  const { tool, inside, sidecar } = await stageNames(t, ({ type, before }) =>
    type === 'A' ? [{ value: before === 0 ? '127.0.0.1' : '127.0.0.2', ttl: 0 }] : [],
  );
  const place = (name: string) => `${name}.example:${tool.port}`;
  assert.equal((await ask(sidecar.ports.proxy, place('plain'))).status, 200);
  const moved = await ask(sidecar.ports.proxy, place('plain'));
  assert.deepEqual([moved.status, reasonOf(moved)], [403, 'upstream.address_denied']);
  assert.equal(tool.received.length, 1);

  assert.equal((await tunnel(sidecar.ports.proxy, place('tunnel'))).status, 200);
  const movedTunnel = await tunnel(sidecar.ports.proxy, place('tunnel'));
  assert.deepEqual([movedTunnel.status, reasonOf(movedTunnel)], [403, 'upstream.address_denied']);
  assert.equal(inside.reached, 0);

  const [, second] = decisionsOf(readLeaves(auditOf(sidecar)));
  const id = second?.decision_id ?? '';
  await eventually(() => outcomeOf(readLeaves(auditOf(sidecar)), id) !== undefined);
  assert.equal(outcomeOf(readLeaves(auditOf(sidecar)), id)?.reason, 'upstream.address_denied');
});

void test('an answer with one address inside is refused whole, and nothing is dialled', async (t) => {
  const { tool, inside, names, sidecar } = await stageNames(t, ({ name, type }) => {
    if (type === 'AAAA') return name.startsWith('families') ? [{ value: '::1' }] : [];
    if (name.startsWith('first')) return [{ value: '127.0.0.2' }, { value: '127.0.0.1' }];
    if (name.startsWith('alias')) {
      return [
        { value: 'db.default.svc.cluster.local', alias: true },
        { name: 'db.default.svc.cluster.local', value: '127.0.0.2' },
      ];
    }
    if (name.startsWith('synthetic')) return [{ value: '198.18.0.1' }];
    if (name.startsWith('families')) return [{ value: '127.0.0.1' }];
    return [{ value: '127.0.0.1' }, { value: '127.0.0.2' }];
  });
  for (const name of ['first', 'last', 'alias', 'synthetic', 'families']) {
    const authority = `${name}.example:${tool.port}`;
    for (const answer of [
      await ask(sidecar.ports.proxy, authority),
      await tunnel(sidecar.ports.proxy, authority),
    ]) {
      assert.deepEqual([answer.status, reasonOf(answer)], [403, 'upstream.address_denied'], name);
    }
  }
  const asked = names.questions.length;
  for (const place of ['metadata.google.internal', 'localhost', 'vault']) {
    const answer = await ask(sidecar.ports.proxy, `${place}:${tool.port}`);
    assert.equal(reasonOf(answer), 'upstream.address_denied', place);
  }
  const port = tool.port === 8081 ? 8082 : 8081;
  const closed = await ask(sidecar.ports.proxy, `any.example:${port}`);
  assert.deepEqual([closed.status, reasonOf(closed)], [403, 'upstream.port_denied']);
  assert.equal(names.questions.length, asked, 'what is refused anyway is not asked for');
  assert.equal(inside.reached + tool.received.length, 0);
});
