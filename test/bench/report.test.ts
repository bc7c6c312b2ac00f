/**
 * What the benchmark may claim: medians, which measurements count, and which budgets are met. Pure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeBudgets } from '../../bench/budget.ts';
import type { ContenderKey } from '../../bench/contender.ts';
import type { EngineRow } from '../../bench/engine-policy.ts';
import type { InterceptionRow } from '../../bench/interception.ts';
import { parseOptions } from '../../bench/options.ts';
import { renderReport } from '../../bench/report.ts';
import type { Result } from '../../bench/result.ts';
import { type Connections, faultOf, median, type Row } from '../../bench/rounds.ts';
import { table } from '../../bench/table.ts';

const MB = 1_000_000;

function row(key: ContenderKey, connections: Connections, change: Partial<Row> = {}): Row {
  return {
    key,
    title: key,
    version: 'v1',
    connections,
    requestsPerSecond: 1000,
    p50Us: 100,
    p90Us: 200,
    p99Us: 300,
    residentBytes: 50 * MB,
    peakBytes: 60 * MB,
    cpuUs: 50,
    invalid: null,
    ...change,
  };
}

function result(rows: readonly Row[], micro: Partial<Result['micro']> = {}): Result {
  return {
    machine: {
      date: '2026-11-22 10:00',
      cpu: 'CPU',
      cpus: 2,
      memoryBytes: 2 ** 30,
      system: 'Linux',
      node: '24',
      loadBefore: 0,
    },
    generator: 'wrk',
    upstream: 'nginx',
    rounds: 3,
    seconds: 1,
    requestBytes: 330,
    rows,
    absent: [],
    micro: {
      decisionUs: null,
      decisionP99Us: null,
      decisionInputBytes: null,
      coldStartMs: null,
      bundleBytes: null,
      auditRecordsPerSecond: null,
      verifyRecordsPerSecond: null,
      standing: null,
      notes: [],
      ...micro,
    },
    engines: null,
    interception: null,
    fleet: null,
  };
}

const standing = (found: Result, word: string) =>
  judgeBudgets(found).find((line) => line.what.includes(word))?.standing;

describe('medians', () => {
  test('an odd number of rounds gives the middle one', () => {
    assert.equal(median([9, 1, 5]), 5);
  });
  test('an even number of rounds gives the mean of the two in the middle', () => {
    assert.equal(median([4, 1, 2, 100]), 3);
  });
});

describe('a measurement counts only when it measured what it says', () => {
  const sample = {
    requests: 100,
    durationUs: 1e6,
    bytes: 20_000,
    errors: 0,
    p50Us: 1,
    p90Us: 1,
    p99Us: 1,
  };
  const cases: readonly [string, ReturnType<typeof faultOf>, RegExp | null][] = [
    ['answers of the checked size', faultOf(sample, 200, null), null],
    ['one record for each answer', faultOf(sample, 200, 100), null],
    ['an error', faultOf({ ...sample, errors: 1 }, 200, null), /1 errors/],
    ['no answer at all', faultOf({ ...sample, requests: 0 }, 200, null), /no answers/],
    ['answers of another size', faultOf(sample, 300, null), /200 bytes, checked one has 300/],
    ['an answer without a record', faultOf(sample, 200, 99), /99 decision records/],
  ];
  for (const [name, fault, expected] of cases) {
    test(name, () => {
      if (expected === null) assert.equal(fault, null);
      else assert.match(fault ?? '', expected);
    });
  }
});

describe('budgets', () => {
  const direct = row('direct', 1, { p50Us: 40 });
  const peers = [row('opa-envoy', 1, { p50Us: 1240 }), row('opa-envoy', 16)];

  test('six times the calls of the peer meets the throughput budget, less does not', () => {
    const fast = row('egret-write', 16, { requestsPerSecond: 6000 });
    const slow = row('egret-write', 16, { requestsPerSecond: 5999 });
    assert.equal(standing(result([...peers, fast]), 'per second'), 'met');
    assert.equal(standing(result([...peers, slow]), 'per second'), 'not met');
  });
  test('a sixth of the added latency of the peer meets the latency budget, more does not', () => {
    const near = row('egret-write', 1, { p50Us: 240 });
    const far = row('egret-write', 1, { p50Us: 241 });
    assert.equal(standing(result([direct, ...peers, near]), 'added latency'), 'met');
    assert.equal(standing(result([direct, ...peers, far]), 'added latency'), 'not met');
  });
  test('a peer that was not measured leaves its budgets not measured', () => {
    const found = result([direct, row('egret-write', 1), row('egret-write', 16)]);
    assert.equal(standing(found, 'per second'), 'not measured');
    assert.equal(standing(found, 'added latency'), 'not measured');
    assert.equal(standing(found, 'resident memory'), 'not measured');
  });
  test('a row that does not count leaves its budgets not measured', () => {
    const broken = row('egret-write', 16, { requestsPerSecond: 9000, invalid: '3 errors' });
    assert.equal(standing(result([...peers, broken]), 'per second'), 'not measured');
  });
  test('memory is compared by peaks', () => {
    const small = row('egret-write', 16, { peakBytes: 59 * MB });
    const large = row('egret-write', 16, { peakBytes: 61 * MB });
    assert.equal(standing(result([...peers, small]), 'resident memory'), 'met');
    assert.equal(standing(result([...peers, large]), 'resident memory'), 'not met');
  });
  test('each part is compared with its own bar', () => {
    assert.equal(standing(result([], { decisionUs: 20 }), 'one decision'), 'met');
    assert.equal(standing(result([], { decisionUs: 20.1 }), 'one decision'), 'not met');
    assert.equal(standing(result([], { coldStartMs: 501 }), 'cold start'), 'not met');
    assert.equal(standing(result([], { auditRecordsPerSecond: 20_000 }), 'synced'), 'met');
    assert.equal(standing(result([], { verifyRecordsPerSecond: 99_999 }), 'verified'), 'not met');
  });
  test('60 KB for each connection that stands is too much, for each kind alone', () => {
    const counts = { tunnels: 2000, streams: 500, intercepted: 500 };
    const bytes = { tunnelBytes: 59_999, streamBytes: 60_000, interceptedBytes: 1 };
    const found = result([], { standing: { ...counts, ...bytes } });
    assert.equal(standing(found, 'idle tunnel'), 'met');
    assert.equal(standing(found, 'event stream'), 'not met');
    assert.equal(standing(found, 'opened TLS'), 'met');
    assert.equal(standing(result([]), 'idle tunnel'), 'not measured');
  });
});

describe('the report', () => {
  test('columns are aligned', () => {
    const lines = table(['a', 'b'], [['long name', '1']]).split('\n');
    assert.deepEqual(new Set(lines.map((line) => line.length)).size, 1);
  });
  test('a row that does not count shows its fault and no figure', () => {
    const text = renderReport(result([row('nginx', 16, { invalid: '7 errors in 9 answers' })]));
    const line = text.split('\n').find((one) => one.includes('7 errors in 9 answers'));
    assert.match(line ?? '', /does not count/);
    assert.doesNotMatch(line ?? '', /1000/);
  });
});

describe('the interception section', () => {
  const squid: InterceptionRow = {
    key: 'squid',
    title: 'Squid, ssl-bump',
    version: 'Squid 5',
    requestsPerSecond: { one: 1111, sixteen: 2222, fresh: 333 },
    p50Us: { one: 444, sixteen: 5555, fresh: 66 },
    cpuUs: 77,
    peakBytes: 88 * MB,
    invalid: null,
  };
  const mitmproxy = {
    title: 'mitmproxy, interception',
    why: 'no mitmdump on PATH',
    remedy: 'apt-get install mitmproxy',
    detail: '',
  };
  const report = (rows: readonly InterceptionRow[]) =>
    renderReport({
      ...result([]),
      interception: { rounds: 3, seconds: 2, rows, absent: [mitmproxy] },
    });

  test('a row has its figures, and who could not take part is named with the way to have it', () => {
    const text = report([squid]);
    const line = text.split('\n').find((one) => one.startsWith('| Squid')) ?? '';
    const cells = line.split('|').map((cell) => cell.trim());
    assert.deepEqual(cells.slice(2, 9), [
      '1111',
      '444 µs',
      '2222',
      '5.55 ms',
      '77 µs',
      '333',
      '88 MB',
    ]);
    assert.match(text, /- mitmproxy, interception: no mitmdump .* apt-get install mitmproxy/);
  });
  test('a row that does not count shows its fault and no figure', () => {
    const text = report([{ ...squid, invalid: '1 errors in 3 answers' }]);
    const line = text.split('\n').find((one) => one.includes('1 errors in 3 answers'));
    assert.match(line ?? '', /does not count/);
    assert.doesNotMatch(line ?? '', /1111/);
  });
  test('a run that was not asked for it says nothing of it', () => {
    assert.doesNotMatch(renderReport(result([])), /interception/);
  });
});

describe('the policy engines', () => {
  const us = { egret: 20, npm: 80, 'opa-server': 100, 'opa-bench': 100 };
  const row = (patterns: boolean, change: Partial<EngineRow> = {}): EngineRow => ({
    title: patterns ? 'patterns' : 'plain',
    patterns,
    us,
    invalid: null,
    ...change,
  });
  const withEngines = (...rows: readonly EngineRow[]): Result => ({
    ...result([]),
    engines: {
      rounds: 3,
      seconds: 1,
      inputBytes: 1024,
      opaVersion: '1',
      npmVersion: '2',
      rows,
    },
  });
  const slower = { us: { ...us, npm: 79.9, 'opa-server': 99.9, 'opa-bench': 99.9 } };

  test('four times npm with patterns, as fast without and five times OPA meet the budgets', () => {
    const found = withEngines(row(true), row(false, { us: { ...us, npm: 20 } }));
    assert.equal(standing(found, 'with patterns'), 'met');
    assert.equal(standing(found, 'policies without'), 'met');
    assert.equal(standing(found, 'JSON to JSON'), 'met');
    assert.equal(standing(found, 'evaluation alone'), 'met');
  });
  test('the worst policy decides', () => {
    const found = withEngines(
      row(true, slower),
      row(false),
      row(false, { us: { ...us, npm: 19.9 } }),
    );
    assert.equal(standing(found, 'with patterns'), 'not met');
    assert.equal(standing(found, 'policies without'), 'not met');
    assert.equal(standing(found, 'JSON to JSON'), 'not met');
    assert.equal(standing(found, 'evaluation alone'), 'not met');
  });
  test('engines that answered differently, or were not there, leave the budgets not measured', () => {
    const differed = row(true, { invalid: 'the engines did not give the same answer' });
    assert.equal(standing(withEngines(differed), 'with patterns'), 'not measured');
    assert.match(renderReport(withEngines(differed)), /patterns does not count: the engines/);
    const alone = row(false, { us: { ...us, 'opa-server': null, 'opa-bench': null } });
    assert.equal(standing(withEngines(alone), 'JSON to JSON'), 'not measured');
    assert.equal(standing(withEngines(), 'with patterns'), 'not measured');
  });
  test('the section shows times and ratios', () => {
    const text = renderReport(withEngines(row(true)));
    assert.match(text, /\| patterns +\| 20\.0 µs \| +80\.0 µs \|/);
    assert.match(text, /\| patterns +\| +4\.00x \| +5\.00x \| +5\.00x \|/);
  });
});

describe('the command line', () => {
  test('only a whole run is complete', () => {
    assert.equal(parseOptions([]).complete, true);
    assert.equal(parseOptions(['--quick']).complete, false);
    assert.equal(parseOptions(['--only', 'nginx']).complete, false);
  });
  test('the direct row always takes part, because latency is measured against it', () => {
    assert.deepEqual(parseOptions(['--only', 'nginx']).only, ['direct', 'nginx']);
  });
  test('sections alone leave the contenders out, and the other way round', () => {
    const sections = parseOptions(['--only', 'interception,connections']);
    assert.deepEqual(sections.only, []);
    assert.deepEqual(sections.sections, ['connections', 'interception']);
    assert.deepEqual(parseOptions(['--only', 'nginx']).sections, []);
    assert.deepEqual(parseOptions([]).sections, ['parts', 'engine', 'connections', 'interception']);
  });
  test('an unknown contender or a bad number of seconds is refused by name', () => {
    assert.throws(
      () => parseOptions(['--only', 'squid']),
      /found "squid", expected some of direct/,
    );
    assert.throws(() => parseOptions(['--seconds', '0']), /found 0, expected a whole number/);
    assert.throws(() => parseOptions(['--fast']), /--fast/);
  });
});
