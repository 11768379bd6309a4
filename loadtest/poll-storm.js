// Impatient shoppers: those who have an order ask for it again and again, one of them far too often, while
// others buy. Polling must cost little, must not be in the way of buying, and only the one is refused.
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { SALE, SECONDS, SHOPPERS, STOCK, URLS, accept, awaitResult, click, drain, error, exactly, number, options as shared, params, parse, start, steady, summary, visit } from './lib.js';

const RATE = number('RATE'); // polls a second
const HOLDERS = Math.ceil(SHOPPERS * 0.4); // have an order before it begins; the first of them is greedy
const GREED = 100; // polls a second of that one

const polls = new Counter('polls');
const throttled = new Counter('throttled');
const pollLatency = new Trend('poll_latency', true);
const listLatency = new Trend('list_latency', true);

const perShopper = RATE / (HOLDERS - 1);
if (perShopper > 8) throw new Error(`${perShopper.toFixed(1)} polls a second of each shopper: more than 8 are not polite; raise --shoppers or lower --rate`);

export const options = shared(
  {
    buyers: steady(SHOPPERS - HOLDERS, SECONDS, 100),
    polite: Object.assign(steady(RATE, 1, 2 * RATE), { exec: 'polite', duration: `${SECONDS}s` }),
    greedy: Object.assign(steady(GREED, 1, GREED), { exec: 'greedy', duration: `${SECONDS}s` }),
  },
  { accepted_latency: [250, 500], time_to_result: [500, 1000], poll_latency: [250, 500], list_latency: [250, 500] },
  Object.assign(exactly(Math.min(STOCK, SHOPPERS)), { throttled: ['count>0'], refused: ['count==0'] }),
);

export function setup() {
  const data = start(0);
  data.paths = Array.from({ length: HOLDERS }, (_, i) => {
    const [order] = click(i, 1);
    if (!order.id) exec.test.abort(`shopper ${i} has no order: ${order.code}`);
    accept();
    awaitResult(i, order);
    return order.path;
  });
  return data;
}

export function shopper(data) {
  const i = HOLDERS + exec.scenario.iterationInTest;
  if (i < SHOPPERS) visit(i, data.opens);
}

export function polite(data) {
  const k = exec.scenario.iterationInTest;
  const i = 1 + (k % (HOLDERS - 1));
  const url = URLS[k % URLS.length];
  const list = k % 10 === 0;
  // A held poll of an order that is decided is answered at once.
  const res = http.get(list ? `${url}/v1/orders?sale_id=${SALE}` : `${url}${data.paths[i]}${k % 10 === 1 ? '?wait=20s' : ''}`, params(i, 'poll'));
  const body = res.status === 200 ? parse(res) : null;
  if (!body || !(list ? body.orders.length === 1 : body.done)) return error('poll', res);
  polls.add(1);
  (list ? listLatency : pollLatency).add(res.timings.duration);
}

export function greedy(data) {
  const res = http.get(`${URLS[exec.scenario.iterationInTest % URLS.length]}${data.paths[0]}`, params(0, 'greedy'));
  if (res.status === 429 && res.headers['Retry-After']) throttled.add(1);
  else if (res.status !== 200) error('greedy', res);
}

export const teardown = drain;
export const handleSummary = summary;
