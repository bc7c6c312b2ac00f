/**
 * The lines of a watch, however its bytes are cut. Pure.
 */
import { ownError } from './api-error.ts';

/** @throws ApiError `TooLarge` before more than `bytesMax` of one line are held. What follows the last line end is cut off. */
export async function* watchLines(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<string> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...held, chunk.subarray(from, end)]).toString('utf8');
      if (bytes + end - from > bytesMax) throw tooLong(bytesMax);
      held = [];
      bytes = 0;
      from = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (from === chunk.length) continue;
    held.push(chunk.subarray(from));
    bytes += chunk.length - from;
    if (bytes > bytesMax) throw tooLong(bytesMax);
  }
}

const tooLong = (bytesMax: number) =>
  ownError('TooLarge', `a line of a watch is longer than ${bytesMax} bytes`);
