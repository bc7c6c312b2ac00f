// Windows follow the clock on the wall: at the changes of daylight saving, over midnight, and in every zone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PolicySetSpec } from '../../src/rollout/policy-set.ts';
import { isOpen, nextOpening } from '../../src/rollout/window.ts';

type Window = PolicySetSpec['windows'][number];

const EVERY_DAY = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const window = (from: string, to: string, timeZone = 'Europe/Berlin'): Window => ({
  days: [...EVERY_DAY],
  from,
  to,
  timeZone,
});
const on = (days: Window['days'], rest: Window): Window => ({ ...rest, days });

const TABLE: readonly [string, Window, string, boolean][] = [
  ['it opens at its minute', window('09:00', '17:00'), '2026-03-02T08:00:00Z', true],
  ['it is closed before', window('09:00', '17:00'), '2026-03-02T07:59:59Z', false],
  ['it closes at its minute', window('09:00', '17:00'), '2026-03-02T16:00:00Z', false],
  ['in summer it opens earlier in UTC', window('09:00', '17:00'), '2026-07-02T07:00:00Z', true],
  ['another day', on(['tue'], window('09:00', '17:00')), '2026-03-02T10:00:00Z', false],
  ['over midnight, in the evening', window('22:00', '02:00', 'UTC'), '2026-03-02T23:00:00Z', true],
  [
    'over midnight, the morning belongs to the day before',
    on(['mon'], window('22:00', '02:00', 'UTC')),
    '2026-03-03T01:59:00Z',
    true,
  ],
  [
    'over midnight, the morning of its own day does not count',
    on(['mon'], window('22:00', '02:00', 'UTC')),
    '2026-03-02T01:00:00Z',
    false,
  ],
  [
    'Sunday night into Monday',
    on(['sun'], window('22:00', '02:00', 'UTC')),
    '2026-03-02T01:00:00Z',
    true,
  ],
  ['from and to equal is a whole day', window('05:00', '05:00'), '2026-03-02T03:00:00Z', true],
  [
    'an opening in the hour that is left out comes with the next minute there is',
    window('02:30', '06:00'),
    '2026-03-29T01:00:00Z',
    true,
  ],
  ['before that hour it is closed', window('02:30', '06:00'), '2026-03-29T00:59:00Z', false],
  ['the repeated hour, first time', window('02:00', '02:30'), '2026-10-25T00:10:00Z', true],
  ['between the two', window('02:00', '02:30'), '2026-10-25T00:40:00Z', false],
  ['the repeated hour, second time', window('02:00', '02:30'), '2026-10-25T01:10:00Z', true],
  ['half hour zones', window('09:00', '10:00', 'Asia/Kolkata'), '2026-03-02T03:30:00Z', true],
  [
    'the other side of the date line',
    window('00:00', '01:00', 'Pacific/Kiritimati'),
    '2026-03-01T10:30:00Z',
    true,
  ],
];

for (const [sentence, given, at, open] of TABLE) {
  void test(sentence, () => assert.equal(isOpen([given], Date.parse(at)), open));
}

void test('no windows are always open, and so is the next opening', () => {
  assert.ok(isOpen([], 0));
  assert.equal(nextOpening([], 5), 5);
});

void test('a window that daylight saving leaves out opens on the next day', () => {
  const at = nextOpening([window('02:10', '02:20')], Date.parse('2026-03-28T12:00:00Z'));
  assert.equal(new Date(at ?? 0).toISOString(), '2026-03-30T00:10:00.000Z');
});

const time = fc
  .record({ hour: fc.nat(23), minute: fc.nat(59) })
  .map(({ hour, minute }) => [hour, minute].map((part) => String(part).padStart(2, '0')).join(':'));
const anyWindow = fc.record({
  days: fc.subarray([...EVERY_DAY], { minLength: 1, maxLength: 2 }),
  from: time,
  to: time,
  timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'),
});

void test('the next opening is what trying every minute finds, or near it when clocks change', () => {
  const start = fc.integer({
    min: Date.parse('2026-10-20T00:00:00Z') / 60_000,
    max: Date.parse('2026-11-05T00:00:00Z') / 60_000,
  });
  fc.assert(
    fc.property(fc.array(anyWindow, { minLength: 1, maxLength: 2 }), start, (windows, minute) => {
      const found = nextOpening(windows, minute * 60_000);
      let slow = minute * 60_000;
      while (!isOpen(windows, slow)) slow += 60_000;
      assert.ok(found !== null && isOpen(windows, found));
      assert.ok(found >= slow && found - slow <= 7 * 86_400_000);
      if (!nearChange(slow)) assert.equal(found, slow);
    }),
    { numRuns: 60 },
  );
});

/** Days on which one of the zones changes its clocks, generously. */
const nearChange = (ms: number) =>
  ['2026-10-25', '2026-11-01'].some((day) => Math.abs(ms - Date.parse(day)) < 2 * 86_400_000);
