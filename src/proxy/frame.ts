/**
 * WebSocket frames (RFC 6455 section 5) read strictly and written anew. The reader takes bytes as they arrive and gives
 * back what may pass on; the first thing the protocol forbids, or a limit, ends it with the close code for it. No
 * extension is ever agreed on, so no reserved bit and no reserved opcode means anything. Pure.
 */

export type MessageType = 'text' | 'binary';

/** `agent`: everything it sends is masked. `tool`: nothing is. */
export type Sender = 'agent' | 'tool';

export type FrameEvent =
  /** A piece of a message: `first` and `last` say where in the message it stands. */
  | {
      readonly kind: 'data';
      readonly type: MessageType;
      readonly first: boolean;
      readonly last: boolean;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'ping' | 'pong'; readonly payload: Uint8Array }
  /** `payload`: code and words as they came, checked; empty when there was no code. Nothing follows. */
  | { readonly kind: 'close'; readonly payload: Uint8Array }
  /** The connection must be closed with this code. Nothing follows. */
  | { readonly kind: 'violation'; readonly code: ViolationCode; readonly detail: string };

/** RFC 6455 section 7.4.1: protocol error, invalid payload data, message too big. */
export type ViolationCode = 1002 | 1007 | 1009;

export interface FrameLimits {
  readonly messageBytesMax: number;
}

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A longer frame passes on in pieces of this many bytes, so that no more of it has to be held. */
export const PIECE_BYTES = 64 * 1024;
export const CONTROL_BYTES_MAX = 125;

type Decoder = InstanceType<typeof TextDecoder>;

/** The frame that is being read. */
interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly mask: Uint8Array | null;
  /** Payload bytes that are in no piece yet. */
  left: number;
  /** The piece that is being filled, and how far it is. */
  piece: Uint8Array;
  filled: number;
}

/** The message that is being read. */
interface Message {
  readonly type: MessageType;
  readonly utf8: Decoder | null;
  bytes: number;
  /** No piece of it has passed on. */
  first: boolean;
}

export class FrameReader {
  readonly #sender: Sender;
  readonly #limits: FrameLimits;
  /** The beginning of a header, shorter than a whole one. */
  #rest: Uint8Array = new Uint8Array();
  #frame: Frame | null = null;
  #message: Message | null = null;
  #ended = false;

  constructor(sender: Sender, limits: FrameLimits) {
    this.#sender = sender;
    this.#limits = limits;
  }

  /**
   * Takes the next bytes.
   * @param onFrame is called for each header that was read; the reading ends when it returns false.
   * @returns what can pass on, in order; after a close or a violation nothing more is read.
   */
  read(bytes: Uint8Array, onFrame: () => boolean = () => true): FrameEvent[] {
    const events: FrameEvent[] = [];
    let rest = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes);
    while (!this.#ended) {
      const frame = this.#frame;
      const step = frame === null ? this.#header(rest) : this.#payload(rest, frame);
      if (step === null) break;
      rest = rest.subarray(step.used);
      if (frame === null && this.#frame !== null && !onFrame()) this.#ended = true;
      if (step.event === null) continue;
      events.push(step.event);
      if (step.event.kind === 'violation' || step.event.kind === 'close') this.#ended = true;
    }
    // Copied: a view would keep all of what was given in memory.
    this.#rest = this.#frame === null && !this.#ended ? new Uint8Array(rest) : new Uint8Array();
    return events;
  }

  /** @returns null when more bytes are needed. */
  #header(bytes: Uint8Array): Step | null {
    const [first, second] = bytes;
    if (first === undefined || second === undefined) return null;
    const masked = (second & 0x80) !== 0;
    const control = (first & 0x08) !== 0;
    const opcode = first & 0x0f;
    const fin = (first & 0x80) !== 0;
    const wrong = this.#wrongStart({ first, opcode, fin, masked });
    if (wrong !== null) return wrong;
    const short = second & 0x7f;
    if (control && short > CONTROL_BYTES_MAX) return violation(1002, 'a control frame over 125');
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const used = 2 + lengthBytes + (masked ? 4 : 0);
    if (bytes.length < used) return null;
    const left = lengthBytes === 0 ? short : bigEndian(bytes.subarray(2, 2 + lengthBytes));
    if (lengthBytes > 0 && left <= (lengthBytes === 2 ? 125 : 65_535)) {
      return violation(1002, 'a length that could be written shorter');
    }
    if (!control && (this.#message?.bytes ?? 0) + left > this.#limits.messageBytesMax) {
      return violation(1009, 'a message over the maximum');
    }
    this.#begin({
      opcode,
      fin,
      left,
      mask: masked ? new Uint8Array(bytes.subarray(used - 4, used)) : null,
    });
    return { used, event: null };
  }

  #wrongStart(start: {
    first: number;
    opcode: number;
    fin: boolean;
    masked: boolean;
  }): Step | null {
    const { first, opcode, fin, masked } = start;
    if ((first & 0x70) !== 0) return violation(1002, 'a reserved bit');
    if (!KNOWN.has(opcode)) return violation(1002, 'a reserved opcode');
    if (masked !== (this.#sender === 'agent')) return violation(1002, 'masking the wrong way');
    if (opcode >= OPCODE.close) return fin ? null : violation(1002, 'a control frame in parts');
    const inside = this.#message !== null;
    if (inside === (opcode === OPCODE.continuation)) return null;
    return violation(1002, inside ? 'a message inside a message' : 'a part of no message');
  }

  #begin(frame: Omit<Frame, 'piece' | 'filled'>): void {
    const { opcode, left } = frame;
    const size = Math.min(left, PIECE_BYTES);
    this.#frame = { ...frame, left: left - size, piece: new Uint8Array(size), filled: 0 };
    if (opcode !== OPCODE.text && opcode !== OPCODE.binary) return;
    const type = opcode === OPCODE.text ? 'text' : 'binary';
    const utf8 = type === 'text' ? strictDecoder() : null;
    this.#message = { type, utf8, bytes: 0, first: true };
  }

  #payload(bytes: Uint8Array, frame: Frame): Step | null {
    const { piece } = frame;
    const used = Math.min(piece.length - frame.filled, bytes.length);
    piece.set(bytes.subarray(0, used), frame.filled);
    frame.filled += used;
    if (frame.filled < piece.length) return used === 0 ? null : { used, event: null };
    // Pieces are as long as a mask or end the frame, so each begins where the mask begins.
    if (frame.mask !== null) applyMask(piece, frame.mask);
    const last = frame.left === 0;
    const size = Math.min(frame.left, PIECE_BYTES);
    frame.left -= size;
    frame.piece = new Uint8Array(size);
    frame.filled = 0;
    if (last) this.#frame = null;
    const event =
      frame.opcode >= OPCODE.close
        ? controlEvent(frame.opcode, piece)
        : this.#piece(piece, last && frame.fin);
    return { used, event };
  }

  #piece(payload: Uint8Array, last: boolean): FrameEvent {
    const message = this.#message as Message;
    const { type, first } = message;
    message.bytes += payload.length;
    message.first = false;
    if (last) this.#message = null;
    if (message.utf8 !== null && !decodes(message.utf8, payload, last)) {
      return broken(1007, 'text that is not UTF-8');
    }
    return { kind: 'data', type, first, last, payload };
  }
}

interface Step {
  /** Bytes that are done with. */
  readonly used: number;
  readonly event: FrameEvent | null;
}

const KNOWN: ReadonlySet<number> = new Set(Object.values(OPCODE));

const broken = (code: ViolationCode, detail: string): FrameEvent => ({
  kind: 'violation',
  code,
  detail,
});

const violation = (code: ViolationCode, detail: string): Step => ({
  used: 0,
  event: broken(code, detail),
});

function controlEvent(opcode: number, payload: Uint8Array): FrameEvent {
  if (opcode === OPCODE.ping) return { kind: 'ping', payload };
  if (opcode === OPCODE.pong) return { kind: 'pong', payload };
  if (payload.length === 1) return broken(1002, 'half a close code');
  if (payload.length > 1 && !mayBeSent(bigEndian(payload.subarray(0, 2)))) {
    return broken(1002, 'a close code that may not be sent');
  }
  return decodes(strictDecoder(), payload.subarray(2), true)
    ? { kind: 'close', payload }
    : broken(1007, 'words that are not UTF-8');
}

/** RFC 6455 section 7.4 and the registry it began: 1004 to 1006 and 1015 never stand in a frame. */
const mayBeSent = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);

function decodes(decoder: Decoder, bytes: Uint8Array, last: boolean): boolean {
  try {
    decoder.decode(bytes, { stream: !last });
    return true;
  } catch {
    return false;
  }
}

const strictDecoder = () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function applyMask(payload: Uint8Array, mask: Uint8Array): void {
  for (let index = 0; index < payload.length; index += 1) {
    payload[index] = (payload[index] as number) ^ (mask[index & 3] as number);
  }
}

/** Exact up to 2^53; anything larger is over every limit all the same. */
const bigEndian = (bytes: Uint8Array): number =>
  bytes.reduce((number, byte) => number * 256 + byte, 0);

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

type Sendable = Exclude<FrameEvent, { kind: 'violation' }>;

/** One frame for what was read. @param mask four unpredictable bytes toward a tool, null toward the agent. */
export function encodeFrame(event: Sendable, mask: Uint8Array | null): Uint8Array {
  const { payload } = event;
  const size = payload.length;
  const lengthBytes = size > 65_535 ? 8 : size > 125 ? 2 : 0;
  const head = 2 + lengthBytes + (mask === null ? 0 : 4);
  const frame = new Uint8Array(head + size);
  frame[0] = firstByte(event);
  frame[1] =
    (mask === null ? 0 : 0x80) | (lengthBytes === 0 ? size : lengthBytes === 2 ? 126 : 127);
  const view = new DataView(frame.buffer);
  if (lengthBytes === 2) view.setUint16(2, size);
  if (lengthBytes === 8) view.setBigUint64(2, BigInt(size));
  frame.set(payload, head);
  if (mask !== null) {
    frame.set(mask, head - 4);
    applyMask(frame.subarray(head), mask);
  }
  return frame;
}

function firstByte(event: Sendable): number {
  if (event.kind !== 'data') return 0x80 | OPCODE[event.kind];
  return (event.last ? 0x80 : 0) | (event.first ? OPCODE[event.type] : OPCODE.continuation);
}

/** A close of our own, without words. @param code one that may be sent. */
export function closeEvent(code: number): Extract<FrameEvent, { kind: 'close' }> {
  return { kind: 'close', payload: Uint8Array.of(code >> 8, code & 0xff) };
}
