/**
 * A DNS server on loopback that says what a test wants, also what no honest server says. Shell: owns one UDP socket.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseAddress } from '../../src/proxy/address.ts';

export interface NameRecord {
  /** Owner; the name that was asked for when left out. */
  readonly name?: string;
  /** An address, or with `alias` a name. */
  readonly value: string;
  readonly alias?: true;
  readonly ttl?: number;
}

/** `code`: 2 server failure, 3 no such name. */
export type NameReply = readonly NameRecord[] | { readonly code: number } | 'silence';

export interface Question {
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'other';
  /** How often this name and type were asked for before. */
  readonly before: number;
}

export interface NameServer {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly questions: readonly Question[];
  close(): Promise<void>;
}

const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;

export async function startNameServer(
  answer: (question: Question) => NameReply | Promise<NameReply>,
): Promise<NameServer> {
  const socket = createSocket('udp4');
  const questions: Question[] = [];
  const reply = async (message: Buffer, port: number): Promise<void> => {
    const asked = parseQuestion(message);
    const before = questions.filter((q) => q.name === asked.name && q.type === asked.type).length;
    const question = { ...asked, before };
    questions.push(question);
    const given = await answer(question);
    if (given !== 'silence') socket.send(renderReply(message, asked.end, given), port, '127.0.0.1');
  };
  socket.on('message', (message, from) => void reply(message, from.port));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    questions,
    close: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

function parseQuestion(message: Buffer): Omit<Question, 'before'> & { end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const number = message.readUInt16BE(at + 1);
  const type = number === TYPES.A ? 'A' : number === TYPES.AAAA ? 'AAAA' : 'other';
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

/** Answers that fit one family are left in whatever was asked: a hostile server may say anything. */
function renderReply(
  query: Buffer,
  end: number,
  given: readonly NameRecord[] | { readonly code: number },
): Buffer {
  const records = 'code' in given ? [] : given;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180 | ('code' in given ? given.code : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(12, end), ...records.map(renderRecord)]);
}

function renderRecord({ name, value, alias, ttl = 60 }: NameRecord): Buffer {
  const owner = name === undefined ? Buffer.from([0xc0, 12]) : renderName(name);
  const data = alias === true ? renderName(value) : Buffer.from(parseAddress(value) ?? []);
  const type = alias === true ? TYPES.CNAME : data.length === 4 ? TYPES.A : TYPES.AAAA;
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

const renderName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);
