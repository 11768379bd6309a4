// What the load tests share: settings, shoppers, purchase, metrics, drain and summary.
// README.md names the settings; scripts/load sets them all.
import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Counter, Trend } from 'k6/metrics';
import { sleep } from 'k6';

export const STOCK = number('STOCK');
export const SHOPPERS = number('SHOPPERS');
export const SECONDS = Number(__ENV.DURATION || 0); // of the runs that last as long as one wants
export const SALE = required('SALE_ID');
export const URLS = required('BASE_URLS').split(',').map(checkURL);
export const SLACK = Number(__ENV.SLACK || 1); // widens the latency bounds, for a busy machine
const PATIENCE = 60; // s: how long a shopper goes on asking

const tokens = new SharedArray('tokens', () => open(required('TOKENS')).trim().split('\n'));
if (tokens.length < SHOPPERS) throw new Error(`TOKENS has ${tokens.length} tokens for ${SHOPPERS} shoppers`);

// A refusal is an answer, not a failed request.
http.setResponseCallback(http.expectedStatuses(200, 202, 409, 410, 429, 503));

const accepted = new Counter('accepted');
const confirmed = new Counter('confirmed');
const rejected = new Counter('rejected');
const refused = new Counter('refused');
const gaveUp = new Counter('gave_up');
const errors = new Counter('errors');
const booked = new Counter('booked'); // what the API lists in the end, tag status
const acceptedLatency = new Trend('accepted_latency', true);
const refusedLatency = new Trend('refused_latency', true);
const timeToResult = new Trend('time_to_result', true);

const again = ['sale-not-open', 'rate-limited', 'overloaded', 'backlog', 'sale-paused', 'dependency-down'];
const final = ['sold-out', 'purchase-limit', 'attempts-used', 'sale-ended'];

// options returns k6's. Every run has the thresholds of all: no error, nobody left without an answer, k6
// sent what it was to send. Bounds are [p95, p99] in milliseconds.
export function options(scenarios, bounds, thresholds) {
  const all = {
    errors: ['count==0'],
    gave_up: ['count==0'],
    rejected: ['count==0'],
    'booked{status:pending}': ['count==0'],
    'refused{code:dependency-down}': ['count==0'],
    dropped_iterations: ['count==0'],
  };
  for (const code of again.concat(final)) {
    const name = `refused{code:${code}}`; // a threshold is what makes k6 count it apart
    all[name] = all[name] || ['count>=0'];
  }
  for (const [name, [p95, p99]] of Object.entries(bounds)) {
    all[name] = [`p(95)<${p95 * SLACK}`, `p(99)<${p99 * SLACK}`];
  }
  const common = { exec: 'shopper', gracefulStop: `${2 * PATIENCE + 30}s` };
  return {
    scenarios: Object.fromEntries(Object.entries(scenarios).map(([name, s]) => [name, Object.assign({}, common, s)])),
    thresholds: Object.assign(all, thresholds),
    summaryTrendStats: ['min', 'med', 'avg', 'p(95)', 'p(99)', 'max'],
    setupTimeout: '5m',
    teardownTimeout: '5m',
    batch: 32,
    batchPerHost: 32,
  };
}

// exactly so many are accepted, told "confirmed", and listed in the end.
export function exactly(n) {
  return { accepted: [`count==${n}`], confirmed: [`count==${n}`], 'booked{status:confirmed}': [`count==${n}`] };
}

// steady is a constant arrival rate of so many in so many seconds.
export function steady(n, seconds, vus) {
  return { executor: 'constant-arrival-rate', rate: n, timeUnit: `${seconds}s`, duration: `${seconds}s`, preAllocatedVUs: vus };
}

// start waits until `early` seconds before the sale opens, and returns what the shoppers need to know.
export function start(early) {
  const asked = Date.now();
  const clock = http.get(`${URLS[0]}/v1/time`);
  const sale = http.get(`${URLS[0]}/v1/sales/${SALE}`);
  if (clock.status !== 200 || sale.status !== 200) exec.test.abort(`sale ${SALE}: ${clock.status} ${sale.status} ${sale.body}`);
  const offset = clock.json('unix_ms') - (asked + clock.timings.duration / 2);
  const opens = Date.parse(sale.json('starts_at')) - offset;
  if (sale.json('stock.total') !== STOCK) exec.test.abort(`the sale has ${sale.json('stock.total')} units, STOCK says ${STOCK}`);
  const wait = opens - early * 1000 - Date.now();
  if (early > 0 && wait < 0) exec.test.abort(`the sale opens ${early} s from now at the earliest: it is ${-wait} ms too late`);
  if (wait > 0) sleep(wait / 1000);
  return { opens };
}

// shop is one shopper's visit: buys one unit and waits for the result.
export function shop(data) {
  const i = exec.scenario.iterationInTest;
  if (i < SHOPPERS) visit(i, data.opens); // a ramp may round up
}

export function visit(i, opens) {
  const purchase = buy(i, opens);
  if (purchase) awaitResult(i, purchase);
}

// click has a shopper send a purchase so many times at once, each to the next API, and returns what each was
// answered: {id, path, body, sent}, or {code, res} of a refusal, or {} after an error.
export function click(i, times) {
  const sent = Date.now();
  const requests = Array.from({ length: times }, (_, k) =>
    ['POST', `${URLS[(i + k) % URLS.length]}/v1/sales/${SALE}/orders`, '{"quantity":1}', params(i, 'buy')]);
  return http.batch(requests).map((res) => {
    const body = parse(res);
    if (res.status === 202 && body && body.id) {
      acceptedLatency.add(res.timings.duration);
      return { id: body.id, path: res.headers.Location, body, sent };
    }
    const code = body && body.code;
    if (!again.includes(code) && !final.includes(code)) return error('buy', res) || {};
    refused.add(1, { code });
    refusedLatency.add(res.timings.duration);
    return { code, res };
  });
}

// accept counts a shopper who has an order.
export const accept = () => accepted.add(1);

// buy tries until there is an order, which it returns, or there can be none.
export function buy(i, opens) {
  const deadline = Date.now() + PATIENCE * 1000;
  while (Date.now() < deadline) {
    const [answer] = click(i, 1);
    if (answer.id) {
      accept();
      return answer;
    }
    if (!again.includes(answer.code)) return null;
    pause(answer.res, answer.code === 'sale-not-open' ? opens - Date.now() : 0);
  }
  gaveUp.add(1);
  return null;
}

// awaitResult polls at another API than the one that took the order: results reach them all.
export function awaitResult(i, purchase) {
  const url = `${URLS[(i + 1) % URLS.length]}${purchase.path}?wait=20s`;
  const deadline = Date.now() + PATIENCE * 1000;
  for (let order = purchase.body; ; ) {
    if (order.done) {
      timeToResult.add(Date.now() - purchase.sent);
      if (order.status === 'confirmed') confirmed.add(1);
      else rejected.add(1, { code: (order.problem && order.problem.code) || order.status });
      return;
    }
    if (Date.now() > deadline) break;
    const res = http.get(url, params(i, 'poll'));
    const body = parse(res);
    if (res.status === 200 && body) order = body;
    else if (res.status === 429 || res.status === 503) pause(res, 0);
    else return error('poll', res);
  }
  gaveUp.add(1);
}

// drain asks the API for everybody's orders until none is pending, and counts them.
export const drain = () => drainSome(1);

// drainSome asks for those of every n-th shopper.
export function drainSome(n) {
  const deadline = Date.now() + PATIENCE * 1000;
  const statuses = { confirmed: 0, rejected: 0, pending: 0 };
  let left = Array.from({ length: Math.ceil(SHOPPERS / n) }, (_, i) => i * n);
  while (left.length > 0) {
    const last = Date.now() > deadline;
    const pending = [];
    for (let k = 0; k < left.length; k += 32) pending.push(...listSome(left.slice(k, k + 32), statuses, last));
    left = pending;
    if (left.length > 0) sleep(0.5);
  }
  for (const [status, count] of Object.entries(statuses)) booked.add(count, { status });
}

// listSome lists the orders of some shoppers and returns those of them to ask again.
function listSome(shoppers, statuses, last) {
  const requests = shoppers.map((i) => ['GET', `${URLS[i % URLS.length]}/v1/orders?sale_id=${SALE}`, null, params(i, 'list')]);
  return http.batch(requests).flatMap((res, k) => {
    const body = res.status === 200 ? parse(res) : null;
    const orders = body ? body.orders : [];
    const open = !body || orders.some((o) => !o.done);
    if (open && !last) return [shoppers[k]];
    if (!body) error('list', res);
    for (const o of orders) statuses[o.status] = (statuses[o.status] || 0) + 1;
    return [];
  });
}

const builtin = /^(http_|iteration|group_)/; // k6's own metrics

// summary writes all that k6 measured to SUMMARY, and a short table to the terminal.
export function summary(data) {
  const rows = [];
  const trend = (name) => {
    const v = data.metrics[name] && data.metrics[name].values;
    if (v) rows.push(`  ${name.padEnd(18)} med ${ms(v.med)}  p95 ${ms(v['p(95)'])}  p99 ${ms(v['p(99)'])}  max ${ms(v.max)}`);
  };
  for (const [name, metric] of Object.entries(data.metrics)) {
    if (metric.type === 'trend' && metric.contains === 'time' && !builtin.test(name)) trend(name);
  }
  const counts = ['accepted', 'confirmed', 'rejected', 'gave_up', 'errors', 'dropped_iterations'];
  for (const name of counts) rows.push(`  ${name.padEnd(18)} ${count(data, name)}`);
  for (const code of again.concat(final)) {
    const n = count(data, `refused{code:${code}}`);
    if (n > 0) rows.push(`  refused            ${n} ${code}`);
  }
  for (const [name, metric] of Object.entries(data.metrics)) {
    for (const [bound, t] of Object.entries(metric.thresholds || {})) {
      if (!t.ok) rows.push(`  FAILED             ${name} ${bound}`);
    }
  }
  const out = { stdout: `${rows.join('\n')}\n` };
  if (__ENV.SUMMARY) out[__ENV.SUMMARY] = JSON.stringify(data, null, 2);
  return out;
}

const count = (data, name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
const ms = (v) => `${v < 10 ? v.toFixed(1) : Math.round(v)} ms`.padStart(8);

export function params(i, name) {
  return {
    headers: { Authorization: `Bearer ${tokens[i]}`, 'Content-Type': 'application/json' },
    tags: { name },
    timeout: '30s',
  };
}

export function parse(res) {
  try {
    return res.json();
  } catch (e) {
    return null;
  }
}

let told = false; // one line per VU: thousands would hide the first
export function error(what, res) {
  errors.add(1, { what });
  if (!told) console.error(`${what}: ${res.status} ${res.error || res.body}`);
  told = true;
}

// pause waits for Retry-After, or as long as is known, and a little more: not all at once.
function pause(res, known) {
  const wait = known > 0 ? known : 1000 * Number(res.headers['Retry-After'] || 1);
  sleep((Math.min(wait, PATIENCE * 1000) + Math.random() * 300) / 1000);
}

// checkURL keeps a load test from hitting strangers by mistake.
function checkURL(url) {
  const local = /^https?:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\/?$/;
  if (!local.test(url) && __ENV.ALLOW_REMOTE !== '1') throw new Error(`${url} is not on this machine; if it is yours, set ALLOW_REMOTE=1 (for scripts/load SECKILL_LOAD_ALLOW_REMOTE=1)`);
  return url.replace(/\/$/, '');
}

function required(name) {
  if (!__ENV[name]) throw new Error(`${name} is not set; scripts/load sets it, see loadtest/README.md`);
  return __ENV[name];
}

export function number(name) {
  const n = Number(required(name));
  if (!Number.isInteger(n) || n < 1) throw new Error(`${name} wants a whole number, got ${__ENV[name]}`);
  return n;
}
