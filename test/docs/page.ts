/**
 * Pages of documentation as tests read them: sections, and the blocks of code in them. A block of Rego or YAML whose
 * first line is a comment with a path is a file. Pure.
 */

export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** The heading of its section. */
  readonly section: string;
  /** Its path when the block is a file. */
  readonly path: string | null;
}

const FILE = /^# ([\w./-]+\.(?:rego|ya?ml))\n/;

export function codeBlocks(markdown: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let section = '';
  for (const [, heading, language, text = ''] of markdown.matchAll(
    /^##+ (.+)$|^```(\w+)\n([\s\S]*?)^```$/gm,
  )) {
    if (heading !== undefined) section = heading;
    if (language === undefined) continue;
    blocks.push({ language, text, section, path: FILE.exec(text)?.[1] ?? null });
  }
  return blocks;
}

/** What a page says that a command prints: `…` is any text within a line, and alone on a line any lines. */
export function expectedOutput(text: string): RegExp {
  const lines = text.split('\n').filter((line, at, all) => line !== '' || at < all.length - 1);
  const parts = lines.map((line) =>
    line === '…' ? '(?:.*\\n)*?' : `${line.split('…').map(literal).join('.*')}\\n`,
  );
  return new RegExp(`^${parts.join('')}$`);
}

const literal = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
