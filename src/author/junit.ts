/**
 * Test results as JUnit XML, the form that CI systems read. Texts may hold anything: what XML 1.0 cannot hold is
 * replaced. Pure.
 */
export interface JunitCase {
  /** Package or file. */
  readonly suite: string;
  readonly name: string;
  readonly file: string;
  readonly line: number | null;
  readonly seconds: number;
  /** What went wrong; null when nothing did. */
  readonly failure: string | null;
  readonly skipped: boolean;
}

export function renderJunit(name: string, cases: readonly JunitCase[]): string {
  const suites = Map.groupBy(cases, ({ suite }) => suite);
  const body = [...suites].map(([suite, members]) => suiteText(suite, members)).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${counts(name, cases)}>\n${body}</testsuites>\n`;
}

function suiteText(suite: string, cases: readonly JunitCase[]): string {
  return `  <testsuite ${counts(suite, cases)}>\n${cases.map(caseText).join('')}  </testsuite>\n`;
}

function counts(name: string, cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== null).length;
  const skipped = cases.filter((one) => one.skipped).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  return `name="${escaped(name)}" tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${seconds.toFixed(6)}"`;
}

function caseText({ suite, name, file, line, seconds, failure, skipped }: JunitCase): string {
  const place = line === null ? '' : ` line="${line}"`;
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" file="${escaped(file)}"${place} time="${seconds.toFixed(6)}"`;
  if (failure !== null) {
    const [first = ''] = failure.split('\n', 1);
    return `${head}>\n      <failure message="${escaped(first)}">${escaped(failure)}</failure>\n    </testcase>\n`;
  }
  return skipped ? `${head}>\n      <skipped/>\n    </testcase>\n` : `${head}/>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for XML and HTML, in an element or between double quotes. */
export const escaped = (text: string): string =>
  text
    .toWellFormed()
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
