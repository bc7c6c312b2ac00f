/**
 * The Rego sources beside a plan: the text of a line, the title of a rule. A bundle names files as they lay when it was
 * built, so a source is found by the end of its path: all of it but perhaps the name of the directory on top. Two files
 * of one name are not the same file, and a line of the wrong one would mislead. Pure.
 */

/** Source texts by path. */
export type Sources = ReadonlyMap<string, string>;

/** The directory of the library, whose files are never those of another directory. */
const LIBRARY = 'egret';

/** The text of a source; undefined when none fits. */
export function sourceOf(sources: Sources, file: string): string | undefined {
  const exact = sources.get(file);
  if (exact !== undefined) return exact;
  const wanted = file.split('/');
  let best: string | undefined;
  let longest = 0;
  for (const [path, text] of sources) {
    const parts = path.split('/');
    const common = commonEnd(parts, wanted);
    const whole = common === parts.length || common === wanted.length;
    const fits = whole || (parts[0] !== LIBRARY && common === wanted.length - 1);
    if (fits && common > longest) [best, longest] = [text, common];
  }
  return best;
}

function commonEnd(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  for (; length < Math.min(a.length, b.length); length++) {
    if (a.at(-1 - length) !== b.at(-1 - length)) break;
  }
  return length;
}

/** The line without the space around it; null when there is no source, or no such line. */
export function lineOf(sources: Sources, file: string, row: number): string | null {
  const line = sourceOf(sources, file)?.split('\n')[row - 1]?.trim();
  return line === undefined || line === '' ? null : line;
}

/** `title` of the METADATA right above a rule. */
export function titleOf(sources: Sources, file: string, row: number): string | null {
  const lines =
    sourceOf(sources, file)
      ?.split('\n')
      .slice(0, row - 1) ?? [];
  const start = lines.findLastIndex((line) => !line.startsWith('#')) + 1;
  const comments = lines.slice(start);
  const metadata = comments.findIndex((line) => /^#\s*METADATA\s*$/.test(line));
  if (metadata === -1) return null;
  for (const line of comments.slice(metadata + 1)) {
    const title = /^#\s*title:\s*(.+?)\s*$/.exec(line)?.[1];
    if (title !== undefined) return title.replace(/^(["'])(.*)\1$/, '$2');
  }
  return null;
}
