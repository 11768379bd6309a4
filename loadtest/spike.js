// The opening of a sale: everybody within ten seconds, most of them in the first, some too early.
import { SHOPPERS, STOCK, drain, exactly, options as shared, shop, start, summary } from './lib.js';

const EARLY = 2; // s before the sale opens, the first arrive

// The rate rises for 3 s, stays for 2 and falls for 5: that is 6 times the peak. The sale opens in
// the middle of the rise.
const peak = Math.ceil(SHOPPERS / 6);

export const options = shared(
  {
    shoppers: {
      executor: 'ramping-arrival-rate',
      startRate: 0,
      timeUnit: '1s',
      stages: [
        { target: peak, duration: '3s' },
        { target: peak, duration: '2s' },
        { target: 0, duration: '5s' },
      ],
      // Who came early, or waits for a result, holds a VU. All are there before it begins.
      preAllocatedVUs: Math.min(SHOPPERS, Math.max(200, Math.ceil(SHOPPERS * 0.4))),
    },
  },
  { accepted_latency: [2000, 4000], refused_latency: [1000, 2000], time_to_result: [4000, 8000] },
  exactly(Math.min(STOCK, SHOPPERS)),
);

export const setup = () => start(EARLY);
export const shopper = shop;
export const teardown = drain;
export const handleSummary = summary;
