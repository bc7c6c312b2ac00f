/**
 * Writes the binary format of WebAssembly: bytes, LEB128 numbers and sections, into a buffer that grows. Pure.
 */

export class ByteSink {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity: number) {
    this.#buffer = new Uint8Array(Math.ceil(capacity));
  }

  byte(byte: number): this {
    if (this.#length === this.#buffer.length) this.#grow(1);
    this.#buffer[this.#length++] = byte;
    return this;
  }

  bytes(bytes: ArrayLike<number>): this {
    if (this.#length + bytes.length > this.#buffer.length) this.#grow(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  u32(value: number): this {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.byte((rest % 128) | 0x80);
    return this.byte(rest);
  }

  /** Signed LEB128 of a number that is not negative. */
  s32(value: number): this {
    let rest = value;
    for (; rest > 0x3f; rest = Math.floor(rest / 128)) this.byte((rest % 128) | 0x80);
    return this.byte(rest);
  }

  /** Signed LEB128 of 64 bits. */
  s64(value: bigint): this {
    let rest = BigInt.asIntN(64, value);
    for (; rest > 0x3fn || rest < -0x40n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    return this.byte(Number(rest & 0x7fn));
  }

  #grow(bytes: number): void {
    const larger = new Uint8Array((this.#length + bytes) * 2);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }

  done(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

export function writeSection(out: ByteSink, id: number, content: Uint8Array): void {
  out.byte(id).u32(content.length).bytes(content);
}

export function codeSection(bodies: readonly Uint8Array[]): Uint8Array {
  const out = new ByteSink(bodies.reduce((sum, body) => sum + body.length + 5, 5));
  out.u32(bodies.length);
  for (const body of bodies) out.u32(body.length).bytes(body);
  return out.done();
}
