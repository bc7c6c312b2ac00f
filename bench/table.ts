/**
 * Tables and figures as the report writes them. Pure.
 */
export type Cells = readonly string[];

export const us = (value: number): string =>
  value < 1000 ? `${Math.round(value)} µs` : `${(value / 1000).toFixed(2)} ms`;
export const mb = (bytes: number | null): string =>
  bytes === null ? '-' : `${Math.round(bytes / 1e6)} MB`;

/** A Markdown table with aligned columns; the first column is text, the others end at the right. */
export function table(head: Cells, lines: readonly Cells[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, 3, ...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  const pad = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  const render = (cells: Cells) => `| ${cells.map(pad).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [render(head), render(rule), ...lines.map(render)].join('\n');
}
