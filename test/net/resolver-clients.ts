/**
 * Runs inside network and mount namespaces of its own: a pod's resolv.conf, the name server on port 53, and the
 * resolvers of the C library, Python, Node and Go one after the other. Prints what each found as JSON.
 * Usage: resolver-clients.ts DIRECTORY
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { listenDns } from '../../src/dns/server.ts';

const run = promisify(execFile);
const directory = process.argv[2] ?? '';

const FILES = {
  'resolv.conf': `search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 127.0.0.1
options ndots:5
`,
  'nsswitch.conf': 'hosts: files dns\n',
};
await run('ip', ['link', 'set', 'lo', 'up']);
for (const [name, text] of Object.entries(FILES)) {
  writeFileSync(join(directory, name), text);
  await run('mount', ['--bind', join(directory, name), `/etc/${name}`]);
}

const results: string[] = [];
const server = await listenDns({
  hosts: ['127.0.0.1', '::1'],
  port: 53,
  ipv4: '198.18.0.1',
  ttlSeconds: 60,
  queriesPerSecond: 1000,
  names: ['api.example.com'],
  counted: (result) => results.push(result),
  signed: () => undefined,
  suspected: () => undefined,
});

const NODE = `import dns from 'node:dns/promises';
const [how, name] = process.argv.slice(1);
const found = how === 'lookup' ? dns.lookup(name, { all: true }) : dns.resolve4(name);
console.log(await found.then(JSON.stringify, (error) => error.code));`;
const PYTHON = `import socket, sys
try: print(socket.getaddrinfo(sys.argv[1], 443, proto=6))
except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)`;
const GO = `package main
import ("fmt"; "net"; "os")
func main() { fmt.Println(net.LookupHost(os.Args[1])) }
`;
writeFileSync(join(directory, 'main.go'), GO);
const node = [process.execPath, '--input-type=module', '-e', NODE];
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  getent: ['getent', 'ahosts'],
  python: ['python3', '-c', PYTHON],
  'node lookup': [...node, 'lookup'],
  'node resolve': [...node, 'resolve'],
  go: ['go', 'run', join(directory, 'main.go')],
};

const found: Record<string, { output: string | null; results: string[] }> = {};
for (const [client, [program = '', ...args]] of Object.entries(CLIENTS)) {
  for (const name of ['api.example.com', 'other.example.net']) {
    results.length = 0;
    const output = await printed(program, [...args, name]);
    found[`${client}: ${name}`] = { output, results: results.toSorted() };
  }
}
await server.close();
process.stdout.write(JSON.stringify(found));

/** What the program prints, whatever its exit code; null when it is not installed. */
async function printed(program: string, args: string[]): Promise<string | null> {
  const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off' };
  try {
    return (await run(program, args, { env, timeout: 60_000 })).stdout;
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    return code === 'ENOENT' ? null : (stdout ?? '');
  }
}
