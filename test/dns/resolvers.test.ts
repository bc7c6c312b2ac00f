/** Resolvers that others wrote understand the answers: dig, Node (c-ares), Python, Go. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { stage } from './client.ts';

const run = promisify(execFile);

/** What a program prints; null, said loudly, when it is not installed. */
async function printed(
  t: TestContext,
  program: string,
  args: string[],
  cwd?: string,
): Promise<string | null> {
  try {
    return (await run(program, args, { cwd, env: { ...process.env, CGO_ENABLED: '0' } })).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    t.skip(`SKIPPED: ${program} is not on PATH`);
    return null;
  }
}

test('dig reads every kind of answer over UDP and TCP', async (t) => {
  const { port } = await stage(t, { ipv6: 'fd00::18' });
  for (const transport of ['+notcp', '+tcp']) {
    const asked: readonly (readonly [string[], RegExp])[] = [
      [['api.example.com', 'A'], /NOERROR[\s\S]*ANSWER: 1[\s\S]*\t198\.18\.0\.1\n/],
      [['aPi.ExAmPlE.cOm', 'A'], /aPi\.ExAmPlE\.cOm\.\t+60\tIN\tA\t198\.18\.0\.1\n/],
      [['x.tools.example.net', 'AAAA'], /NOERROR[\s\S]*\tfd00::18\n/],
      [['api.example.com', 'HTTPS'], /NOERROR[\s\S]*ANSWER: 0[\s\S]*SOA/],
      [['api.example.com', 'TXT'], /REFUSED[\s\S]*EDE: 15 \(Blocked\)/],
      [['api.example.com', 'ANY'], /REFUSED/],
      [['other.example.org', 'A'], /NXDOMAIN[\s\S]*EDE: 15 \(Blocked\)[\s\S]*SOA/],
      [['-x', '192.0.2.1'], /NXDOMAIN/],
      [['localhost', 'A'], /\t127\.0\.0\.1\n/],
      [['version.bind', 'TXT', 'CH'], /REFUSED/],
      [['+edns=1', '+noednsneg', 'api.example.com'], /BADVERS/],
      [['+opcode=update', 'api.example.com'], /NOTIMP/],
      [['+noedns', 'api.example.com'], /ADDITIONAL: 0/],
    ];
    for (const [args, expected] of asked) {
      const at = ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=5', transport];
      const output = await printed(t, 'dig', [...at, ...args]);
      if (output === null) return;
      assert.match(output, expected, args.join(' '));
      assert.doesNotMatch(output, /malformed|extra bytes|WARNING: .*(truncat|messages)/i);
    }
  }
});

test('the resolver of Node gets addresses, and its own codes for what does not exist', async (t) => {
  const { server, port } = await stage(t);
  const resolver = new Resolver({ tries: 1, timeout: 5000 });
  resolver.setServers([`127.0.0.1:${port}`]);
  assert.deepEqual(await resolver.resolve4('api.example.com', { ttl: true }), [
    { address: '198.18.0.1', ttl: 60 },
  ]);
  const code = (asked: Promise<unknown>) =>
    asked.then(
      () => 'found',
      (error: NodeJS.ErrnoException) => error.code,
    );
  assert.equal(await code(resolver.resolve6('api.example.com')), 'ENODATA');
  assert.equal(await code(resolver.resolve4('other.example.com')), 'ENOTFOUND');
  assert.equal(await code(resolver.resolveTxt('api.example.com')), 'EREFUSED');
  assert.equal(await code(resolver.resolveMx('other.example.com')), 'EREFUSED');
  assert.equal(await code(resolver.reverse('192.0.2.1')), 'ENOTFOUND');
  server.setNames(['other.example.com']);
  // Another resolver, because the first one may keep what it heard.
  const fresh = new Resolver({ tries: 1, timeout: 5000 });
  fresh.setServers([`127.0.0.1:${port}`]);
  assert.deepEqual(await fresh.resolve4('other.example.com'), ['198.18.0.1']);
});

const PYTHON = `
import random, socket, struct, sys
port = int(sys.argv[1])

def ask(name, kind, tcp):
    number = random.randrange(65536)
    labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.'))
    query = struct.pack('>HHHHHH', number, 0x0100, 1, 0, 0, 0) + labels + struct.pack('>BHH', 0, kind, 1)
    if tcp:
        with socket.create_connection(('127.0.0.1', port)) as s, s.makefile('rwb') as f:
            f.write(struct.pack('>H', len(query)) + query)
            f.flush()
            reply = f.read(struct.unpack('>H', f.read(2))[0])
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(query, ('127.0.0.1', port))
            reply = s.recv(4096)
    got, flags, questions, answers = struct.unpack('>HHHH', reply[:8])
    assert got == number and questions == 1 and reply[12:len(query)] == query[12:]
    return flags & 15, socket.inet_ntoa(reply[-4:]) if answers else ''

for tcp in (False, True):
    print(ask('api.example.com', 1, tcp), ask('api.example.com', 16, tcp), ask('other.example.org', 28, tcp))
`;

test('Python reads the answers from bare sockets', async (t) => {
  const { port } = await stage(t);
  const output = await printed(t, 'python3', ['-c', PYTHON, String(port)]);
  if (output === null) return;
  const line = "(0, '198.18.0.1') (5, '') (3, '')\n";
  assert.equal(output, line + line);
});

const GO = `package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

func main() {
	resolver := func(network string) *net.Resolver {
		return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+os.Args[1])
		}}
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"api.example.com.", "other.example.org."} {
			found, err := resolver(network).LookupHost(context.Background(), name)
			var failed *net.DNSError
			errors.As(err, &failed)
			fmt.Println(found, failed != nil && failed.IsNotFound, failed != nil && failed.IsTimeout)
		}
		_, err := resolver(network).LookupTXT(context.Background(), "api.example.com.")
		fmt.Println(err != nil)
	}
}
`;

test('the resolver of Go reads the answers over UDP and TCP', async (t) => {
  const { port } = await stage(t);
  const directory = await mkdtemp(join(tmpdir(), 'egret-dns-go-'));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, 'go.mod'), 'module resolve\n\ngo 1.21\n');
  await writeFile(join(directory, 'main.go'), GO);
  const output = await printed(t, 'go', ['run', '.', String(port)], directory);
  if (output === null) return;
  const lines = '[198.18.0.1] false false\n[] true false\ntrue\n';
  assert.equal(output, lines + lines);
});
