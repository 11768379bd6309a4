// A sale at a walking pace: each shopper comes alone, half of them find it sold out. It says whether
// the path works and how long a shopper waits when nobody pushes.
import { SHOPPERS, STOCK, drain, exactly, options as shared, shop, start, steady, summary } from './lib.js';

export const options = shared(
  { shoppers: steady(SHOPPERS, 10, Math.min(SHOPPERS, 200)) },
  { accepted_latency: [250, 500], refused_latency: [100, 250], time_to_result: [500, 1000] },
  exactly(Math.min(STOCK, SHOPPERS)),
);

export const setup = () => start(0);
export const shopper = shop;
export const teardown = drain;
export const handleSummary = summary;
