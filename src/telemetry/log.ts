/**
 * The log: JSON lines of declared events. Fields that an event does not declare are left out, text is bounded and
 * cleaned of what looks like a credential. Writing never blocks a call: what a stalled reader does not take is
 * dropped and counted, and an event that repeats too often is thinned out. The audit log is the record; this is not.
 * Shell: owns the output stream.
 */
import { openSync } from 'node:fs';
import pino from 'pino';
import {
  EVENTS,
  type EventDeclaration,
  type Fields,
  type Level,
  type LogEvent,
  type Loggable,
} from './log-event.ts';
import { printable } from './redaction.ts';

export interface LogOptions {
  readonly level: Level;
  /** File descriptor, or file to append to. Default standard output. */
  readonly destination?: number | string;
  /** Called with the number of lines that were lost or thinned out. */
  readonly onDropped?: (lines: number) => void;
  /** Milliseconds on a monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

export interface Log {
  /** Writes one event at its declared level. Never throws and never waits. */
  event<E extends LogEvent>(event: E, fields: Fields<E>): void;
  /** Says what was thinned out and writes what is buffered; gives up on a stalled reader after a second. */
  close(): Promise<void>;
}

/** UTF-16 units of one text field. */
export const FIELD_CHARS_MAX = 2048;
/** Lines of one event per second; more are counted instead. */
export const EVENT_LINES_PER_SECOND_MAX = 100;
/** Bytes that wait for a slow reader; about a minute of one busy event. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
const CLOSE_MS_MAX = 1000;

/** @throws when the destination is a file that cannot be opened. */
export function createLog(options: LogOptions): Log {
  const onDropped = options.onDropped ?? (() => undefined);
  const destination = options.destination ?? 1;
  const output = pino.destination({
    dest: typeof destination === 'string' ? openSync(destination, 'a', 0o640) : destination,
    sync: false,
    maxLength: BUFFERED_BYTES_MAX,
  });
  output.on('drop', () => onDropped(1));
  // A reader that went away must not end the sidecar; its lines are lost and counted.
  output.on('error', () => onDropped(1));
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      messageKey: 'message',
    },
    output,
  );
  const write = (event: LogEvent, fields: Readonly<Record<string, unknown>>) => {
    const { level, message } = EVENTS[event];
    logger[level]({ event, ...loggable(event, fields) }, message);
  };
  const limiter = createLimiter(options.now ?? (() => performance.now()), (suppressed, count) => {
    onDropped(count);
    write('log.suppressed', { suppressed, count });
  });
  return {
    event(event, fields) {
      if (!logger.isLevelEnabled(EVENTS[event].level)) return;
      if (limiter.admit(event)) write(event, fields);
    },
    close() {
      limiter.flush();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, CLOSE_MS_MAX);
        output.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
        output.end();
      });
    },
  };
}

/** The declared fields with values of the declared type; text made printable. */
function loggable(event: LogEvent, fields: Readonly<Record<string, unknown>>) {
  const out: Record<string, Loggable> = {};
  const declaration: EventDeclaration = EVENTS[event];
  for (const [name, type] of Object.entries(declaration.fields)) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === null) out[name] = null;
    else if (type === 'text' && typeof value === 'string') {
      out[name] = printable(value, FIELD_CHARS_MAX);
    } else if (type === 'number' && typeof value === 'number' && Number.isFinite(value)) {
      out[name] = value;
    } else if (type === 'flag' && typeof value === 'boolean') out[name] = value;
  }
  return out;
}

/** Admits so many lines of each event per second, and reports the rest when the second is over. */
function createLimiter(now: () => number, report: (event: LogEvent, count: number) => void) {
  const windows = new Map<LogEvent, { startedAt: number; lines: number; suppressed: number }>();
  return {
    admit(event: LogEvent): boolean {
      const at = now();
      let window = windows.get(event);
      if (window === undefined || at - window.startedAt >= 1000) {
        const suppressed = window?.suppressed ?? 0;
        window = { startedAt: at, lines: 0, suppressed: 0 };
        windows.set(event, window);
        if (suppressed > 0) report(event, suppressed);
      }
      if (window.lines >= EVENT_LINES_PER_SECOND_MAX) {
        window.suppressed += 1;
        return false;
      }
      window.lines += 1;
      return true;
    },
    flush(): void {
      for (const [event, { suppressed }] of windows) if (suppressed > 0) report(event, suppressed);
      windows.clear();
    },
  };
}
