// Everybody clicks three times at once, at different APIs, and once more when the result is there. It is one
// order, whatever arrives first: no shopper is ever told of a second one.
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { SHOPPERS, STOCK, accept, awaitResult, buy, click, drain, error, exactly, options as shared, start, steady, summary } from './lib.js';

const CLICKS = 3;
const SPAN = 20; // s

const clicks = new Counter('clicks');
const sameOrder = new Counter('same_order'); // clicks that were told of the order that is there
const secondOrder = new Counter('second_order');

export const options = shared(
  { shoppers: steady(SHOPPERS, SPAN, Math.min(SHOPPERS, 300)) },
  { accepted_latency: [500, 1000], refused_latency: [250, 500], time_to_result: [1000, 2000] },
  Object.assign(exactly(Math.min(STOCK, SHOPPERS)), {
    second_order: ['count==0'],
    same_order: ['count>0'],
    'refused{code:purchase-limit}': ['count==0'], // the same purchase again is no second one
  }),
);

export const setup = () => start(0);
export function shopper(data) {
  const i = exec.scenario.iterationInTest;
  if (i >= SHOPPERS) return;
  const answers = click(i, CLICKS);
  clicks.add(CLICKS);
  const orders = answers.filter((a) => a.id);
  let order = orders[0];
  if (order) accept();
  else if (answers.some((a) => a.code !== 'sold-out')) order = buy(i, data.opens); // told to come again
  if (!order) return;
  compare(order, orders.slice(1));
  awaitResult(i, order);
  const [late] = click(i, 1);
  clicks.add(1);
  if (late.id) compare(order, [late]);
  else if (late.code !== 'sold-out') error('late click', late.res || { status: 0 });
}
export const teardown = drain;
export const handleSummary = summary;

function compare(order, others) {
  for (const o of others) (o.id === order.id ? sameOrder : secondOrder).add(1);
}
