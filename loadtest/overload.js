// Ten times as many purchases as the consumers may settle (scripts/load caps them with SECKILL_DRAIN_RATE), at
// a constant rate that does not care how they are answered: nobody who is refused comes again. The backlog gate
// must refuse the rest at once, those who are accepted must not notice, and a few seconds after it is over
// everybody is served again.
import exec from 'k6/execution';
import { Trend } from 'k6/metrics';
import { SECONDS, SHOPPERS, SLACK, accept, awaitResult, click, drainSome, error, number, options as shared, start, steady, summary } from './lib.js';

const DRAIN = number('DRAIN'); // orders a second that the consumers settle
const RATE = 10 * DRAIN;
const FLOOD = RATE * SECONDS;
const AFTER = 20; // s, in which five shoppers a second come
const RECOVERY = 8; // s after which nobody may be refused

if (SHOPPERS < FLOOD + 5 * AFTER + 2) throw new Error(`${SHOPPERS} shoppers are too few: ${RATE}/s for ${SECONDS} s, and ${5 * AFTER} after it`);

const refusedAfter = new Trend('refused_after', true); // how long after the flood
const resultAfter = new Trend('time_to_result_recovered', true);

export const options = shared(
  {
    // Who is accepted holds a VU until there is a result.
    flood: Object.assign(steady(RATE, 1, Math.ceil(1.2 * RATE)), { exec: 'flood', duration: `${SECONDS}s` }),
    after: Object.assign(steady(5 * AFTER, AFTER, 100), { exec: 'after', startTime: `${SECONDS}s` }),
  },
  { accepted_latency: [500, 1000], refused_latency: [250, 500], time_to_result: [8000, 12000] },
  {
    accepted: [`count>${0.5 * DRAIN * SECONDS}`], // it is full all the time,
    'refused{code:backlog}': [`count>${0.5 * FLOOD}`], // and refuses most
    'refused{code:sold-out}': ['count==0'],
    refused_after: [`max<${RECOVERY * 1000 * SLACK}`],
    time_to_result_recovered: [`p(95)<${1000 * SLACK}`],
  },
);

export const setup = () => start(0);

export function flood() {
  const i = exec.scenario.iterationInTest;
  if (i < FLOOD) once(i);
}

export function after() {
  const i = FLOOD + exec.scenario.iterationInTest;
  if (i >= SHOPPERS) return;
  const since = Date.now() - exec.scenario.startTime;
  const order = once(i);
  if (!order) refusedAfter.add(since);
  else if (since > RECOVERY * 1000) resultAfter.add(Date.now() - order.sent);
}

function once(i) {
  const [order] = click(i, 1);
  if (order.id) {
    accept();
    awaitResult(i, order);
    return order;
  }
  const politely = ['backlog', 'overloaded', 'rate-limited'].includes(order.code) && Number(order.res.headers['Retry-After']) > 0;
  if (order.code && !politely) error('not refused as it should be', order.res);
  return null;
}

export const teardown = () => drainSome(50);
export const handleSummary = summary;
