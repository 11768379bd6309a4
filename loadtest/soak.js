// An ordinary sale for a long time: what grows, grows here. scripts/load holds the memory and the goroutines
// of every process against each other, early and late.
import { SECONDS, SHOPPERS, STOCK, drain, exactly, options as shared, shop, start, steady, summary } from './lib.js';

export const options = shared(
  { shoppers: steady(SHOPPERS, SECONDS, Math.min(SHOPPERS, 500)) },
  { accepted_latency: [250, 500], refused_latency: [100, 250], time_to_result: [500, 1000] },
  exactly(Math.min(STOCK, SHOPPERS)),
);

export const setup = () => start(0);
export const shopper = shop;
export const teardown = drain;
export const handleSummary = summary;
