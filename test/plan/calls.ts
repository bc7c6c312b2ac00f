/** Random policy inputs and data for comparing engines: mostly near the rules of the packs, some of any shape. */
import fc from 'fast-check';

const often = <T>(usual: T, ...rare: T[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom(usual, ...rare) },
  );

const anyText = fc.oneof(
  fc.constantFrom(
    ...'|api_key|Seed  Phrase|private k\u200bey|tax|SALARY|İnvoice|é|😀|ß|*|a@b|~1/~0'.split('|'),
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);
const address = fc.oneof(
  { weight: 4, arbitrary: fc.constant('accountant@example.com') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ' Backup@Example.com ',
      'eve@evil.example',
      '"a,b"@example.com',
      'Ann <ann@example.com>',
      'ann@example.com, eve@evil.example',
      '',
    ),
  },
  { weight: 1, arbitrary: anyText },
);
const amount = fc.oneof(
  fc.constantFrom<unknown>(1, 500, 500.01, 1e21, '9', '1e3', ' 7', '0x10', null, true, [], {}),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
);
/**
 * Where a value of any type may stand in place of the right one. No object of it has two keys: as a text it has its
 * keys in the order of a hash table in WebAssembly, and sorted in OPA's server and in the plan engine.
 */
const loosely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 15, arbitrary },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }).filter(hasSmallObjects) },
  );

function hasSmallObjects(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const items: unknown[] = Object.values(value);
  return (Array.isArray(value) || items.length < 2) && items.every(hasSmallObjects);
}

const attachment = fc.record(
  {
    name: loosely(often('march.pdf', 'private_key.pem')),
    bytes: loosely(often(1000, 20_000_000, 20_000_001, 0, 1e308)),
    media_type: loosely(often('application/pdf', 'text/html', 'APPLICATION/PDF')),
    source: loosely(often('explicit_user_upload', 'unknown')),
    age_minutes: loosely(often<number | null>(1, 30, 30.001, 0.1, null)),
  },
  { requiredKeys: ['name', 'bytes'] },
);

const call = fc.record(
  {
    tool: loosely(
      fc.record({
        name: often('gmail.send', 'gmail.messages.list', 'mcp.tools.list', 'shell.run'),
        operation: fc.constantFrom('write', 'read', 'list', 'connect', 'unknown'),
        server: fc.constantFrom('mail', 'files', null),
        known: fc.boolean(),
      }),
    ),
    arguments_state: loosely(often('parsed', 'opaque', 'none')),
    arguments: loosely(
      fc.record(
        {
          to: loosely(fc.array(address, { maxLength: 3 })),
          cc: loosely(fc.array(address, { maxLength: 1 })),
          bcc: loosely(fc.array(address, { maxLength: 1 })),
          subject: loosely(anyText),
          text: loosely(anyText),
          html: loosely(anyText),
          amount,
        },
        { requiredKeys: ['to'] },
      ),
    ),
    attachments: loosely(fc.array(attachment, { maxLength: 3 })),
    environment: fc.constantFrom('prod', 'test'),
    phase: fc.constant('request'),
    mcp: loosely(fc.constantFrom(null, { method: 'tools/call' }, { method: 'tools/list' })),
  },
  { requiredKeys: ['tool', 'arguments_state', 'arguments', 'attachments'] },
);

/**
 * JSON that every engine reads alike: no lone surrogates, no NUL, which C texts end at, and no tiny numbers: WebAssembly
 * adds 5e-324 to 20000000 exactly, the plan engine has the digits of a double for a fraction.
 */
export const readable = (value: unknown) => {
  const text = JSON.stringify(value);
  if (text === undefined || !text.isWellFormed()) return false;
  return !/\\u(?:d[89ab]|0000)|[0-9]e-[0-9]/i.test(text);
};

export const inputs: fc.Arbitrary<unknown> = fc
  .oneof({ weight: 12, arbitrary: call }, { weight: 1, arbitrary: fc.jsonValue() })
  .filter(readable);

const line = loosely(
  fc.oneof(
    fc.array(address, { maxLength: 2 }),
    fc.array(anyText, { maxLength: 2 }),
    fc.constantFrom<unknown>('always', 'write', 500, { equals: 1 }, { amount: { at_most: 5 } }),
  ),
);
const lines = (...names: string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, line])), { requiredKeys: [] });

/** YAML policies, well formed and not. */
export const yamlPolicies: fc.Arbitrary<unknown> = fc
  .array(
    fc.record(
      {
        id: loosely(fc.constantFrom('one', 'two', 'three')),
        title: loosely(anyText),
        when: loosely(
          fc.record(
            {
              tool: loosely(fc.constantFrom<unknown>('gmail.send', 'gmail.*', ['gmail.send'])),
              operation: fc.constantFrom('write', 'read'),
            },
            { requiredKeys: [] },
          ),
        ),
        allow_if: loosely(
          fc.oneof(
            fc.constant('always'),
            lines(
              'to_in_allowlist',
              'to_domain_in',
              'amount_at_most',
              'argument',
              'body',
              'nonsense',
            ),
          ),
        ),
        deny_if: loosely(lines('to_includes', 'body_contains', 'amount_over', 'argument')),
        require_approval_if: loosely(lines('subject_contains', 'to_domain_not_in')),
      },
      { requiredKeys: ['id'] },
    ),
    { maxLength: 3 },
  )
  .filter(readable);
