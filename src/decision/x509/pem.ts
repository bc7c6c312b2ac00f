/** Blocks of PEM, and base64 as Go reads it. Pure. */

export interface PemBlock {
  readonly type: string;
  readonly bytes: Buffer;
}

const BLOCK =
  /-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n((?:[^\n]+: [^\n]*\n)*\r?\n?[A-Za-z0-9+/=\s]*?)-----END \1-----/g;

export function pemBlocks(text: string): readonly PemBlock[] {
  return [...text.matchAll(BLOCK)].flatMap(([, type = '', body = '']) => {
    const bytes = fromBase64(body.replace(/^[^\n]*: [^\n]*$/gm, '').replace(/[ \t]/g, ''));
    return bytes === null ? [] : [{ type, bytes }];
  });
}

/** Null when it is not complete base64 with its padding. */
export function fromBase64(text: string): Buffer | null {
  const characters = text.replace(/[\r\n]/g, '');
  const valid = characters.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(characters);
  return valid ? Buffer.from(characters, 'base64') : null;
}
