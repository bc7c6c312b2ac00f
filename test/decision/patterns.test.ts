/** Host builtins on patterns, networks and URIs beside the real OPA: the same calls, the same results. */
import { test } from 'node:test';
import fc from 'fast-check';
import { type BuiltinCall, compareWithOpa, every, sample } from './opa-oracle.ts';

const PATTERNS = [
  'a*',
  'a+?b|c',
  '(a)(b)?',
  '^a',
  'b$',
  '',
  '(?P<x>é+)',
  '[',
  'a{2}',
  '\\bb',
  '(?i)A',
  '(?<=a)b',
  '.',
  '\\pL',
  '(a|ab)(c|bcd)',
  'x*',
];
const WORDS = ['', 'a', 'aab', 'baaac', 'abcd aabb', 'éab😀éé', 'xAxa\nb', '$1'];

test('regular expressions find, split and replace as in OPA', (t) => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Go's form of a group
  const templates = ['', '$1', '${x}y', '$x', '$1x', '$$', '[$0]', '${1}2', '$'];
  compareWithOpa(t, [
    ...every('regex.find_n', PATTERNS, WORDS, [-1, 0, 2, 1.5]),
    ...every('regex.find_all_string_submatch_n', PATTERNS, WORDS, [-1, 1]),
    ...every('regex.split', PATTERNS, WORDS),
    ...every('regex.match', PATTERNS, WORDS),
    ...every('regex.is_valid', PATTERNS),
    ...every('regex.replace', WORDS, PATTERNS, templates),
    ...every(
      'regex.template_match',
      ['a<b+>', '<a><b>', 'a<', 'a>', 'x.<.*>'],
      WORDS,
      ['<'],
      ['>'],
    ),
    ...every('glob.quote_meta', ['*.a{b}[c]?\\d,!-']),
  ]);
});

test('patterns that have a text in common are found as in OPA', (t) => {
  const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[b-d]', '\\*', '[a-]');
  const token = fc.tuple(atom, fc.constantFrom('', '', '*', '+')).map((parts) => parts.join(''));
  const glob = fc.array(token, { maxLength: 5 }).map((tokens) => tokens.join(''));
  const odd = ['', '[', ']', '*a', 'a**', '[]', '\\', '[b-a]', '[-a]', 'a\\'];
  const pairs = sample(fc.tuple(glob, glob), 1500);
  compareWithOpa(t, [
    ...pairs.map((pair) => ['regex.globs_match', ...pair] as BuiltinCall),
    ...every('regex.globs_match', odd, [...odd, 'a.b']),
  ]);
});

test('networks are read, merged and expanded as in OPA', (t) => {
  const networks = [
    '10.0.0.0/8',
    '10.1.2.3/30',
    '10.1.2.4/30',
    '192.0.2.0/24',
    '192.0.3.0/24',
    '0.0.0.0/0',
    '255.255.255.255/32',
    '2001:db8::/126',
    '2001:db8::4/126',
    '::ffff:10.0.0.0/104',
    '10.0.0.1',
    '172.16.0.1',
    '192.0.2.77',
    '::1',
    '::/0',
    'x',
    '1.2.3.4/33',
  ];
  const small = ['10.1.2.3/30', '2001:db8::/126', '255.255.255.254/31', '::ffff:1.2.3.4/127', 'x'];
  // IPv4 and IPv6 together are merged by OPA into addresses that are neither.
  const lists = sample(fc.subarray(networks.slice(0, 7), { maxLength: 4 }), 100);
  compareWithOpa(t, [
    ...every('net.cidr_contains', networks, networks),
    ...every('net.cidr_intersects', networks, networks),
    ...every('net.cidr_contains_matches', networks, [networks.slice(0, 9), ['10.0.0.0/9', 1]]),
    ...small.map((one) => ['net.cidr_expand', one] as BuiltinCall),
    ...lists.map((list) => ['net.cidr_merge', list] as BuiltinCall),
    ...networks.map((one) => ['net.cidr_merge', [one]] as BuiltinCall),
    ['net.cidr_merge', ['2001:db8::/126', '2001:db8::4/126', '2001:db8::10/128']],
  ]);
});

test('URIs are split as in OPA', (t) => {
  const uris = [
    'http://user:p%40ss@Example.com:80/a%20b/c;d?x=1&y#z%41',
    'HTTPS://[fe80::1%25en0]:8080/',
    'http://[::1]',
    'http://[1.2.3.4]/',
    'http://a b/',
    'http://a:b/',
    'http://a:1:2/',
    'postgres://a:1,b:2/x',
    '//host/path',
    '///path',
    '/a:b',
    'a:b',
    '1a:b',
    ':x',
    'x/y:z',
    'mailto:a@b',
    '*',
    '?',
    'a?b?c',
    'http://h?',
    'http://%41/',
    'http://h%e2%82%ac/',
    'http://h/%zz',
    'http://h/é',
    'http://h/%C3%A9',
    'http://h/a+b!*(c)',
    'http://h#%zz',
    'http://h/\u0001',
    'http://u@x@h/',
    '',
  ];
  compareWithOpa(t, [...every('uri.parse', uris), ...every('uri.is_valid', uris)]);
});
