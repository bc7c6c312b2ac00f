/** The rules as text, and what of a configuration can be made into rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { configSchema } from '../../src/config/schema.ts';
import { arrivedHere, parseTcpTable } from '../../src/redirect/local-sockets.ts';
import { type FencePlan, planOf, REMOVAL, renderRuleset } from '../../src/redirect/ruleset.ts';

const PLAN: FencePlan = {
  uid: 64_777,
  ports: [
    [80, 15_080],
    [443, 15_443],
  ],
  dnsPort: 15_053,
  inboundPorts: [],
  probePorts: [15_061, 15_068],
};

const configured = (capture: unknown) =>
  planOf(
    configSchema.parse({
      apiVersion: 'egret.dev/v1',
      kind: 'SidecarConfig',
      agent: { id: 'a', environment: 'test' },
      bundles: [{ name: 'main', directory: 'b' }],
      audit: { directory: 'a' },
      ...(capture === undefined ? {} : { capture }),
    }),
  );

void test('the defaults of the configuration are a plan', () => {
  const planned = configured({});
  assert.deepEqual(planned, { ok: true, plan: PLAN });
});

void test('a configuration without capture or with a port that is picked later cannot be rules', () => {
  const error = (capture: unknown) => {
    const planned = configured(capture);
    return planned.ok ? '' : planned.error;
  };
  assert.equal(error(undefined), 'capture: found nothing, expected the ports to capture');
  assert.equal(
    error({ ports: { '80': 0 } }),
    'capture.ports.80: found 0, expected the port itself',
  );
  assert.equal(error({ dns: { port: 0 } }), 'capture.dns.port: found 0, expected the port itself');
});

void test('each table is emptied and filled in one transaction, and no table but ours is named', () => {
  const rules = renderRuleset(PLAN, ['eth0', 'eth1']);
  for (const table of ['inet egret', 'netdev egret']) {
    const at = rules.indexOf(`table ${table}\ndelete table ${table}\ntable ${table} {`);
    assert.notEqual(at, -1, table);
  }
  const tables = [...`${rules}${REMOVAL}`.matchAll(/^(?:delete )?table (.*?)(?: \{)?$/gm)];
  assert.deepEqual([...new Set(tables.map(([, name]) => name))], ['inet egret', 'netdev egret']);
});

void test('everything is refused at the end, and nobody but the sidecar goes out by his user id', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4_000_000_000 }),
      fc.subarray([8080, 9000]),
      (uid, inbound) => {
        const rules = renderRuleset({ ...PLAN, uid, inboundPorts: inbound }, ['eth0']);
        const users = [...rules.matchAll(/meta skuid (\S+) .*(?:accept|return)$/gm)];
        assert.deepEqual([...new Set(users.map(([, user]) => user))], [String(uid)]);
        assert.match(rules, /policy drop;\n(?:.*\n)*? {4}jump refused\n {2}\}/);
      },
    ),
  );
});

void test('the table of sockets tells where a connection arrived', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:3AE8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 64777        0 1 1',
    '   1: 0100007F:3AE8 02004D0A:3AD5 01 00000000:00000000 00:00000000 00000000 64777        0 2 1',
    '   2: 0100007F:3AE9 02004D0A:3AD5 06 00000000:00000000 00:00000000 00000000 64777        0 3 1',
    'nonsense',
  ].join('\n');
  const sockets = parseTcpTable(table);
  assert.equal(sockets.length, 3);
  assert.equal(arrivedHere(sockets, 15_080, 15_061), true);
  assert.equal(arrivedHere(sockets, 15_080, 15_062), false);
  assert.equal(arrivedHere(sockets, 15_081, 15_061), false, 'a connection that is over');
});
