// A sale at a walking pace: each shopper comes alone, half of them find it sold out. It says whether
// the path works and how long a shopper waits when nobody pushes.
import { SHOPPERS, drain, options as shared, shop, start, summary } from './lib.js';

const SECONDS = 10;

export const options = shared(
  {
    executor: 'constant-arrival-rate',
    rate: SHOPPERS,
    timeUnit: `${SECONDS}s`,
    duration: `${SECONDS}s`,
    preAllocatedVUs: Math.min(SHOPPERS, 200),
  },
  { accepted_latency: [250, 500], refused_latency: [100, 250], time_to_result: [500, 1000] },
);

export const setup = () => start(0);
export const shopper = shop;
export const teardown = drain;
export const handleSummary = summary;
