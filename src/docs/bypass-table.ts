/**
 * The table of ways around the sidecar, made of the names of the tests that try them, so that it can say nothing that is
 * not tried. Pure.
 */

/** `row('the way: what stops it', …)` in the test's source. */
const ROW = /\brow\(\s*'((?:[^'\\]|\\.)+)'/g;

export interface Bypass {
  readonly way: string;
  readonly answer: string;
}

/** @throws Error for a name without a colon; it would be a row with one cell. */
export function bypassesIn(source: string): Bypass[] {
  return [...source.matchAll(ROW)].map(([, name = '']) => {
    const colon = name.indexOf(': ');
    if (colon === -1) throw new Error(`found "${name}", expected "the way: what stops it"`);
    return { way: name.slice(0, colon), answer: name.slice(colon + 2) };
  });
}

export function renderBypasses(bypasses: readonly Bypass[]): string {
  const rows = bypasses.map(({ way, answer }) => `| ${way} | ${answer} |\n`);
  return `| way around | what happens |\n|---|---|\n${rows.join('')}`;
}

/** Puts content between the two marks of a page. @throws Error when the page lacks them. */
export function withSection(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}: generated -->\n`, `<!-- ${name}: end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`found no place for "${name}" in the page`);
  return `${page.slice(0, from + begin.length)}${content}${page.slice(to)}`;
}
