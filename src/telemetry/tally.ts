/**
 * A histogram that counts in plain arrays and is read by the registry only at a scrape. The histogram of prom-client
 * builds and hashes a label string at every observation, which is several microseconds for the ten observations of
 * one call; here an observation is an array increment on a child that was bound once. Shell: owns its counts.
 */
import type { MetricDeclaration } from './metric-catalogue.ts';

interface Exemplar {
  readonly labelSet: { readonly trace_id: string };
  readonly value: number;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** One line of a scrape, in the shape the registry of prom-client prints. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly exemplar?: Exemplar | null;
}

/** The observations under one set of label values. */
export class HistogramChild {
  readonly labels: Readonly<Record<string, string>>;
  readonly #bounds: readonly number[];
  /** Per bucket, not cumulative; the last one is everything above. */
  readonly #counts: Float64Array;
  readonly #exemplars: (Exemplar | null)[];
  #sum = 0;

  constructor(labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
    this.#exemplars = new Array<Exemplar | null>(bounds.length + 1).fill(null);
  }

  /** @param traceId of a sampled trace; becomes the exemplar of the bucket. */
  observe(value: number, traceId?: string): void {
    if (!Number.isFinite(value)) return;
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at += 1;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += value;
    if (traceId === undefined) return;
    this.#exemplars[at] = { labelSet: { trace_id: traceId }, value, timestamp: Date.now() / 1000 };
  }

  samples(name: string): Sample[] {
    const sharedLabels = this.labels;
    let count = 0;
    const buckets = Array.from(this.#counts, (inBucket, at): Sample => {
      count += inBucket;
      const labels = { le: this.#bounds[at] ?? '+Inf' };
      const exemplar = this.#exemplars[at] ?? null;
      return { metricName: `${name}_bucket`, labels, sharedLabels, value: count, exemplar };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, sharedLabels, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, sharedLabels, value: count },
    ];
  }
}

/** A declared histogram as the registry knows it. Its children are made once, at start, from closed sets. */
export class TallyHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #bounds: readonly number[];
  readonly #children: HistogramChild[] = [];

  constructor(declaration: MetricDeclaration) {
    this.name = declaration.name;
    this.help = declaration.help;
    this.#bounds = declaration.buckets ?? [];
  }

  child(labels: Readonly<Record<string, string>> = {}): HistogramChild {
    const child = new HistogramChild(labels, this.#bounds);
    this.#children.push(child);
    return child;
  }

  get() {
    const { name, help, type, aggregator } = this;
    const values = this.#children.flatMap((child) => child.samples(name));
    return Promise.resolve({ name, help, type, aggregator, values });
  }
}
